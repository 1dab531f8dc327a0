"""The desktop's panel and what it shares with the Segment Editor effect: Qt widgets over MemSegSlicerLib."""
