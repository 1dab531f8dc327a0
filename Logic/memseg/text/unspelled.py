"""Ordinary words that look like slips of words understood here and are not: they are refused, never corrected.

Gathered by comparing the words of much technical prose with the vocabulary: those that would have been corrected.
"""

from __future__ import annotations

ORDINARY = frozenset(
    """
    able abort accesses account achieve activate additional additive adjacency ahead alone archive arrow article
    atom attention augment auxiliary avoids bail bell bending bias blank blend blending block blocked boned boring
    bother bread breaking breaks bulk bull buttons call calls came cancels capable capsize capture cards cases cash
    casts catch cause ceil channel chapter chase check checked chicken chooser cleaned cleared clears climb clock
    clone closed closely closer coach code coin cola collapse collected collecting collective come comment commonly
    company compare compiled compose computed computer concept concern conduct connecting connection constant
    constrained construct container contains context continued continuous control convert converted cool corner
    correct correction cost counter coupled cover covered created creates creator crew cross crowd crush currently
    date declare decreases delegate deleted deletion details detected detection detects dict digital dinner directed
    directional directive directory discarded disconnect displayed divided dividend divides doubles drag drawing
    draws drops dual duck duration earn east edit editing eighty elect electron element elements eliminated emitting
    encoded entered entirely equally equals even ever exceeds exceptions excluded excludes execution exist exiting
    exits expanded expander expands expecting expensive expert explore exported exports express extended extending
    extends extents extracted extracts extremely faced fact fade failing fair fake falling fast fastest fate feature
    features feed feel fever fifty fills film filtered finds fire fist fits flag flatten flight float flood flour
    flower fold folding fool forcing form forth forwards freed further gain gates gave gentle gives glad glove glue
    good grain grand grant greet grew grouped grouping grows hall halt handler handles hang hanging harm hate haven
    headers height helps herb hero highs hill hint hire hits holders home hope hops identity imagine immediate
    included includes increased increases infer info insertion inset inspection integral intended interim interior
    intern internally internet interval intervals inverse issue issues john jones keen keeps knew labeled lack
    ladder lake lamb lamp land lanes late later laurent leading leaf leak leap learning leaves lengths lesson
    letters letting lieu lift limited limits linearly link links lion list literal literally lived load locations
    lock logger logging loop looping loses loss lost lots love lowered lumber lunge lust lute made mail makes male
    maps march margins marking meal meaning measured median medical members merged mess mirrors miss mist mode
    moments momentum month moral mother move must names natural nearly needs neither nest nice noisy numbered
    numbers often opening optical options order ordering ordinal origins others outlined oven pack package packing
    pain pairing pairs pale palette paper park parsing partial parties party passing past patched path peace perfect
    picking picks pink pitch placing plan planet plant poet pointers pointing points poles pond pony poor pork
    portions pose positional positions possess possibly post preserved preserves presets pretend prevent prevents
    primarily principal printed printer proceed processed processor progress proof public publish pulp quad quarrel
    quiet quiz race radical rain raising ratio reach read reap reasons recover reduced reduces relaxed remain
    remains remote removal removed removes rent resolve respect restricted retained reverse roar room rounds rows
    rust sampler samples saved saves scalars scaling scare scatter searched searches seat seconds sections seeks
    seems seize selecting selector selects send sent separable separated separately separates serious serves
    services session setting settings shade shading shadow shake share shared shares sheep shelf shelter shine ship
    shoe shore shortcut showing shown shows shrinks shrunk sift signals simulated simulation singles sixty skill
    skip skips slave sliced slicing sliding slight slot slots slow slower smart smoothed snail snow society sole
    sort sorter spaced spacing spade span spanned spans spare speed speeds spell spelling spent spleet spline
    splines splint splits splitting sport spray stab stacking stale starts station stay steal steam steep steps
    stereo stern stood stops storage stored stores storing storm story straw stretch strike stripe strips structural
    structured student substantial subtracted suitable suite sums supper surround survival swan swapped sweet swing
    switch taken taker takes talk tame tangent tank tape taps targets teach team tells temporary tend tends tense
    tension tensors terminate terms tested testing theirs theorem thermal threat thresholds thrown throws thunder
    thus tick tide toil tone tool toward traced tracer traces trade tray trial trick trip trivial truck true tune
    tutor tutorial twin uniform uniforms unity upward vain valued varies veil verb vice views village waist wait
    walk wand wants warm watt weather wedges weight weld went whale wheat wheel whereas whether whisper whistle
    whose widths wild willing wish witch word work world worn wound writes written years
    """.split()
)
