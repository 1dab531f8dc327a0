// What the page does by itself: names its tab, listens to the keyboard, completes words, streams uploads.
(function () {
  const tab = Math.random().toString(36).slice(2) + Date.now().toString(36);

  function typing(target) {
    return Boolean(target && target.closest && target.closest('input, textarea, select, [contenteditable="true"]'));
  }

  function shortcut(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      if (key === 'z') return event.shiftKey ? 'redo' : 'undo';
      if (key === 'y') return 'redo';
      if (key === 's') return 'save';
      if (key === 'o') return 'open';
      return '';
    }
    if (event.altKey || event.ctrlKey || event.metaKey) return '';
    const plain = {
      n: 'navigate', w: 'window', c: 'click', b: 'box', s: 'scribble', l: 'lasso',
      p: 'positive', '+': 'positive', '=': 'positive', m: 'negative', '-': 'negative',
      g: 'propagate', a: 'agree', j: 'show_suggested',
      r: 'remember', f: 'fit', h: 'help', '?': 'help', Delete: 'remove', Backspace: 'remove',
    };
    return plain[key] || '';
  }

  window.addEventListener('keydown', (event) => {
    if (typing(event.target) || document.querySelector('.v-dialog .v-overlay__content')) return;
    const box = document.querySelector('.ms-words input');
    if (box && (event.key === '/' || event.key.toLowerCase() === 't') && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      box.focus();
      box.select();
      return;
    }
    const stops = event.key === 'Escape' && document.querySelector('.ms-stop-answer');
    const name = stops ? 'stop' : shortcut(event);
    if (!name || event.repeat) return;
    event.preventDefault();
    window.trame.trigger('shortcut', [name]);
  });

  // The text box: what is typed is completed by the server; keys mark one of its offers, bring earlier words, or leave.
  // names: of the page's values, by what they are.
  function typed(event, names) {
    const { state } = window.trame;
    state.set(names.past, 0);
    state.set(names.completion, -1);
    state.set(names.offering, true);
    window.trame.trigger('complete_words', [event.target.value]);
  }

  function typing_keys(event, names) {
    if (event.isComposing) return;
    const { state } = window.trame;
    const get = (name) => state.get(names[name]);
    const put = (words) => {
      state.set(names.offering, false);
      state.set(names.completion, -1);
      state.set(names.words, words);
    };
    const offers = (get('offering') && get('completions')) || [];
    const marked = offers.length ? get('completion') : -1;
    const earlier = (past) => {
      const history = get('history') || [];
      const place = Math.min(history.length, Math.max(0, past));
      if (place === get('past')) return;
      put(place ? history[history.length - place] : '');
      state.set(names.past, place);
    };
    if (event.key === 'Enter') {
      event.target.blur();
      window.trame.trigger('type_words', [marked >= 0 ? offers[marked] : event.target.value]);
    } else if (event.key === 'Tab' && offers.length && !event.shiftKey) put(`${offers[Math.max(0, marked)]} `);
    else if (event.key === 'Escape' && offers.length) state.set(names.offering, false);
    else if (event.key === 'Escape') event.target.blur();
    else if (event.key === 'ArrowDown' && offers.length) state.set(names.completion, Math.min(marked + 1, offers.length - 1));
    else if (event.key === 'ArrowDown') earlier(get('past') - 1);
    else if (event.key === 'ArrowUp' && marked >= 0) state.set(names.completion, marked - 1);
    else if (event.key === 'ArrowUp') earlier(get('past') + 1);
    else return;
    event.preventDefault();
  }

  let revealed = null;
  // A segment that is chosen from elsewhere, as a new one is, comes into sight.
  new MutationObserver(() => {
    const chosen = document.querySelector('.ms-segment.ms-row-chosen');
    if (chosen && chosen !== revealed) chosen.scrollIntoView({ block: 'nearest' });
    revealed = chosen;
  }).observe(document.documentElement, { subtree: true, childList: true, attributeFilter: ['class'] });

  async function upload(files, progress) {
    const batch = Math.random().toString(36).slice(2);
    const total = Array.from(files).reduce((sum, file) => sum + file.size, 0) || 1;
    let done = 0;
    for (const file of files) {
      await send(file, batch, (loaded) => progress(Math.floor((100 * (done + loaded)) / total)));
      done += file.size;
    }
    return batch;
  }

  function send(file, batch, loaded) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('POST', `upload?batch=${batch}&name=${encodeURIComponent(file.name)}`);
      request.setRequestHeader('X-MemSeg', 'upload');
      request.upload.onprogress = (event) => loaded(event.loaded);
      request.onload = () =>
        request.status === 200 ? resolve(request.responseText) : reject(request.responseText || 'The upload was refused.');
      request.onerror = () => reject('The connection broke during the upload; try again.');
      request.send(file);
    });
  }

  let pointed = -1;
  // The mouse over the strip of slices: the tooltip says what is known of the one under it; pressed, the view goes there.
  function strip(event, size, bars) {
    const place = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - place.left) / place.width;
    const index = Math.min(size - 1, Math.max(0, Math.floor(share * size)));
    const bar = bars.find((one) => index < one.start + one.count);
    event.currentTarget.title = bar ? `Slice ${index}: ${bar.words}` : '';
    if (event.type === 'mousedown') event.preventDefault();
    else if (event.buttons !== 1 || index === pointed) return;
    pointed = index;
    window.trame.trigger('show_slice', [index]);
  }

  // Of a bar, in percent of the strip's height.
  function height(bar) {
    const fixed = { agreed: 100, clear: 22, absent: 22, held: 30, untouched: 0 };
    return bar.kind in fixed ? fixed[bar.kind] : 30 + 0.6 * bar.percent;
  }

  window.trame.utils.memseg = {
    tab,
    strip,
    height,
    typed,
    typing: typing_keys,
    claim() {
      window.trame.trigger('claim', [tab]);
    },
    async upload(input, received = 'uploaded') {
      const files = input.files;
      if (!files || !files.length) return;
      const progress = (percent) => window.trame.state.set('PageState__upload_progress', percent);
      progress(0);
      try {
        await window.trame.trigger(received, [await upload(files, progress)]);
      } catch (problem) {
        window.trame.trigger('upload_failed', [String(problem)]);
      } finally {
        progress(-1);
        input.value = '';
      }
    },
    download(address) {
      const link = document.createElement('a');
      link.href = address;
      link.download = '';
      link.click();
    },
  };
})();
