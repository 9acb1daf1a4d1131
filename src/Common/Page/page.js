
'use strict';
(() => {
  const everyMs = 2000, staleMs = 8000, points = 90;
  const byId = id => document.getElementById(id);
  const history = new Map();
  let before = null, last = null, lastAt = 0, paused = false, timer = 0;

  // ---- numbers

  const bytes = n => {
    if (n === null || n === undefined) return '–';
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    let at = 0, value = n;
    while (value >= 1024 && at < units.length - 1) { value /= 1024; at++; }
    return (at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)) + ' ' + units[at];
  };
  const count = n => n === null || n === undefined ? '–' : n >= 1e9 ? (n / 1e9).toFixed(2) + ' G' : n >= 1e6 ? (n / 1e6).toFixed(2) + ' M' : n >= 1e4 ? (n / 1e3).toFixed(1) + ' k' : n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
  const micros = us => us === null || us === undefined ? '–' : us >= 1e6 ? (us / 1e6).toFixed(2) + ' s' : us >= 1e3 ? (us / 1e3).toFixed(us >= 1e4 ? 0 : 1) + ' ms' : (us >= 100 ? Math.round(us) : us.toFixed(1)) + ' µs';
  const percent = share => share === null || share === undefined ? '–' : (share * 100).toFixed(share > 0.995 || share < 0.1 ? 1 : 0) + ' %';
  const span = ms => {
    const s = Math.max(0, Math.round(ms / 1000)), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
    return d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${m} min` : m > 0 ? `${m} min ${s % 60} s` : `${s} s`;
  };

  // ---- elements; what is the same stays the same, so that a selection, the focus and a reader's place stay

  const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const make = (tag, className, text) => { const e = document.createElement(tag); if (className) e.className = className; if (text !== undefined) e.textContent = text; return e; };

  const rows = (id, items, columns, empty) => {
    const body = byId(id).tBodies[0], width = byId(id).tHead.rows[0].cells.length;
    if (items.length === 0) {
      if (!body.querySelector('.empty')) {
        const cell = make('td', 'empty');
        cell.colSpan = width;
        const row = make('tr');
        row.append(cell);
        body.replaceChildren(row);
      }
      set(body.querySelector('.empty'), empty);
      return;
    }
    if (body.querySelector('.empty')) body.replaceChildren();
    while (body.rows.length > items.length) body.deleteRow(-1);
    while (body.rows.length < items.length) {
      const row = make('tr');
      columns.forEach((column, at) => {
        const cell = make(at === 0 ? 'th' : 'td', column.className);
        if (at === 0) cell.scope = 'row';
        if (column.build) column.build(cell);
        row.append(cell);
      });
      body.append(row);
    }
    items.forEach((item, at) => columns.forEach((column, number) => {
      const cell = body.rows[at].cells[number];
      if (column.fill) column.fill(cell, item); else set(cell, column.text(item));
      if (column.title) cell.title = column.title(item);
    }));
  };

  const bar = (share, text) => ({
    className: 'wide',
    build: cell => { const box = make('div', 'bar'); const line = make('i'); line.setAttribute('aria-hidden', 'true'); box.append(line, make('span')); cell.append(box); },
    fill: (cell, item) => { cell.firstChild.firstChild.style.setProperty('--share', Math.min(1, share(item) || 0)); set(cell.firstChild.lastChild, text(item)); },
  });
  const tag = (text, kind) => ({
    build: cell => cell.append(make('span', 'tag')),
    fill: (cell, item) => { cell.firstChild.className = 'tag ' + kind(item); set(cell.firstChild, text(item)); },
  });
  const number = text => ({ className: 'n', text });

  const tile = (key, title, value, note, line) => {
    const tiles = byId('tiles');
    let box = tiles.querySelector(`[data-key="${key}"]`);
    if (!box) {
      box = make('div');
      box.dataset.key = key;
      box.append(make('dt', '', title), make('dd'), make('dd', 'note'));
      if (line !== undefined) {
        const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
        svg.setAttribute('viewBox', '0 0 100 26');
        svg.setAttribute('preserveAspectRatio', 'none');
        svg.setAttribute('aria-hidden', 'true');
        svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
        box.append(svg);
      }
      tiles.append(box);
    }
    set(box.children[1], value);
    set(box.children[2], note || '');
    if (line !== undefined) {
      const values = history.get(key) || [];
      values.push(line || 0);
      if (values.length > points) values.shift();
      history.set(key, values);
      const most = Math.max(...values, 1e-9);
      const path = values.map((v, at) => `${at ? 'L' : 'M'}${(100 * (at + points - values.length) / (points - 1)).toFixed(2)} ${(25 - 24 * v / most).toFixed(2)}`).join('');
      box.querySelector('path').setAttribute('d', path);
    }
  };

  // ---- the map: a column for each part of the segment, filled from below by what is here, remote and lost

  const map = {
    className: 'map',
    build: cell => { const canvas = make('canvas'); canvas.setAttribute('role', 'img'); cell.append(canvas); },
    fill: (cell, segment) => {
      const canvas = cell.firstChild, style = getComputedStyle(document.documentElement);
      const layers = [['resident_map', '--here'], ['remote_map', '--remote'], ['lost_map', '--lost']].map(([name, colour]) => [segment[name], style.getPropertyValue(colour).trim()]).filter(([digits]) => digits);
      const cells = layers.length ? layers[0][0].length : 1;
      if (canvas.width !== cells || canvas.height !== 9) { canvas.width = cells; canvas.height = 9; }
      const picture = canvas.getContext('2d');
      picture.clearRect(0, 0, cells, 9);
      for (let x = 0; x < cells; x++) {
        let filled = 0;
        for (const [digits, colour] of layers) {
          const height = Math.min(9 - filled, digits.charCodeAt(x) - 48);
          picture.fillStyle = colour;
          picture.fillRect(x, 9 - filled - height, 1, height);
          filled += height;
        }
      }
      const share = n => percent(segment.bytes ? n / segment.bytes : 0);
      canvas.setAttribute('aria-label', `${share(segment.resident_bytes)} is here, ${share(segment.remote_bytes)} on sponsors, ${share(segment.lost_bytes)} lost; ${tenths(segment)}`);
    },
  };
  const tenths = segment => {
    if (!segment.resident_map) return 'nothing of it is here';
    const digits = [...segment.resident_map].map(Number), most = Math.max(...digits);
    const first = digits.findIndex(d => d > 0), end = digits.length - [...digits].reverse().findIndex(d => d > 0);
    return `what is here lies between ${percent(first / digits.length)} and ${percent(end / digits.length)} of its length${most < 9 ? ', with gaps' : ''}`;
  };

  // ---- what is wrong

  const problems = data => {
    const found = [];
    const add = (state, text) => found.push([state, text]);
    for (const s of data.sponsors || []) {
      if (s.state === 'no_answer') add('bad', `Sponsor ${s.sponsor} does not answer: ${s.problem}`);
      if (s.state === 'asks_back') add('warn', `Sponsor ${s.sponsor} asks back ${bytes(s.lent_bytes - s.offered_bytes)} that it has lent.`);
      if (s.state === 'full') add('warn', `Sponsor ${s.sponsor} is full.`);
    }
    for (const p of data.programs || []) {
      const name = `${base(p.command)} (${p.program})`;
      if (p.failure) add('bad', `${name}: ${p.failure}`);
      if (p.pages_lost > 0) add('bad', `${name} has lost ${some(p.pages_lost, 'page')}.`);
      if (p.stripes_lacking > 0) add('bad', `${name}: ${some(p.stripes_lacking, 'stripe')} lack${p.stripes_lacking === 1 ? 's' : ''} a replica, and would not survive another loss.`);
      if (p.sponsors_lost > 0) add('warn', `${name} has lost ${some(p.sponsors_lost, 'sponsor')}.`);
      if (p.sponsors_silent > 0) add('warn', `${name}: ${some(p.sponsors_silent, 'sponsor')} ${p.sponsors_silent === 1 ? 'does' : 'do'} not answer just now.`);
      if (p.stripes_crowded > 0) add('warn', `${name}: two replicas of ${some(p.stripes_crowded, 'stripe')} are in one place.`);
      if (p.pages_corrupted > 0) add('warn', `${name}: ${some(p.pages_corrupted, 'read')} brought what had not been written, and had to be repeated.`);
      if (p.spilled_bytes > 0) add('warn', `${name}: ${bytes(p.spilled_bytes)} spilled to a disk.`);
    }
    return found;
  };
  const some = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`;
  const base = path => path ? path.slice(path.lastIndexOf('/') + 1) : '?';

  const showHealth = found => {
    const state = found.some(([s]) => s === 'bad') ? 'bad' : found.length ? 'warn' : 'good';
    byId('health').dataset.state = state;
    const texts = found.length ? found.map(([, text]) => text) : ['All is well.'];
    const list = byId('problems');
    if ([...list.children].map(e => e.textContent).join('\n') !== texts.join('\n')) list.replaceChildren(...texts.map(text => make('li', '', text)));
  };

  // ---- rates of what is only counted, between two looks

  const rate = (now, earlier, seconds) => earlier === undefined || !(seconds > 0) ? null : Math.max(0, now - earlier) / seconds;

  const showPager = (data, seconds) => {
    const live = data.live, us = live.fault_latency_us || [null, null, null, null];
    set(byId('window'), live.seconds > 0 ? `over the last ${live.seconds.toFixed(0)} s` : '');
    tile('faults', 'Faults/s', count(live.faults_per_s), `${count(live.hard_faults_per_s)} from sponsors`, live.faults_per_s);
    tile('p50', 'Fault latency, p50', micros(us[0]), `p90 ${micros(us[1])}`, us[0]);
    tile('p99', 'Fault latency, p99', micros(us[2]), `p99.9 ${micros(us[3])}`, us[2]);
    tile('in', 'Pages in/s', count(live.pages_in_per_s), bytes(live.pages_in_per_s * 4096) + '/s', live.pages_in_per_s);
    tile('out', 'Pages out/s', count(live.pages_out_per_s), bytes(live.pages_out_per_s * 4096) + '/s', live.pages_out_per_s);
    tile('prefetch', 'Prefetched and used', percent(live.prefetch_accuracy), 'of those decided', live.prefetch_accuracy);
    tile('queue', 'Write-back queue', count(live.write_back_queue_pages), 'pages', live.write_back_queue_pages);
    const total = name => data.programs.reduce((sum, p) => sum + p[name], 0);
    tile('memory', 'Here', bytes(total('resident_bytes')), `${bytes(total('remote_bytes'))} on sponsors`, total('resident_bytes'));

    const earlier = new Map(((before && before.programs) || []).map(p => [`${p.pager}/${p.program}/${p.started}`, p]));
    const perSecond = name => p => count(rate(p[name], (earlier.get(`${p.pager}/${p.program}/${p.started}`) || {})[name], seconds));
    rows('programs', data.programs, [
      { text: p => base(p.command), title: p => p.command },
      number(p => String(p.program)),
      bar(p => p.resident_bytes / p.budget_bytes, p => `${bytes(p.resident_bytes)} of ${bytes(p.budget_bytes)}`),
      number(p => bytes(p.remote_bytes)), number(perSecond('faults')), number(perSecond('pages_in')), number(perSecond('pages_out')),
      number(p => micros(p.fault_latency_us[0])), number(p => micros(p.fault_latency_us[2])),
      number(p => percent(p.prefetch_used + p.prefetch_wasted > 0 ? p.prefetch_used / (p.prefetch_used + p.prefetch_wasted) : null)),
      number(p => count(p.write_back_queue_pages)), { text: p => p.transport },
    ], 'No program is served now.');

    const mapped = data.segments.filter(s => s.resident_map || s.remote_map || s.lost_map).slice(0, 64);
    set(byId('segments-note'), data.segments.length > mapped.length ? `${mapped.length} of ${data.segments.length}; heca segment list has all` : '');
    rows('segments', mapped, [
      { className: 'mono', text: s => s.id.slice(0, 8), title: s => s.id },
      { text: s => `${s.name} (${s.program})${s.is_captured ? ', captured' : ''}` },
      map, number(s => bytes(s.bytes)), number(s => bytes(s.resident_bytes)), number(s => bytes(s.remote_bytes)), number(s => bytes(s.lost_bytes)),
    ], 'No segment has a page yet.');
  };

  const showSponsor = (data, seconds) => {
    const own = data.sponsors[0], was = before ? before.sponsors[0] : {};
    const read = rate(own.pages_read, was.pages_read, seconds), written = rate(own.pages_written, was.pages_written, seconds);
    set(byId('window'), '');
    tile('lent', 'Lent', bytes(own.lent_bytes), `of ${bytes(own.offered_bytes)}`, own.lent_bytes);
    tile('read', 'Pages read/s', count(read), read === null ? '' : bytes(read * 4096) + '/s, over TCP', read);
    tile('written', 'Pages written/s', count(written), written === null ? '' : bytes(written * 4096) + '/s, over TCP', written);
    tile('demanders', 'Demanders', count(own.demanders), `${count(data.data_connections)} data connections`);
    tile('refused', 'Refused', count(data.refused), 'since the start');
    rows('demanders', data.demanders, [
      { text: d => d.name }, { className: 'mono', text: d => d.demander },
      bar(d => d.lent_bytes / own.lent_bytes, d => percent(own.lent_bytes ? d.lent_bytes / own.lent_bytes : 0)), number(d => bytes(d.lent_bytes)),
    ], 'Nothing is lent.');
  };

  const states = { ok: 'good', full: 'warn', drained: 'plain', asks_back: 'warn', no_answer: 'bad' };
  const levels = { information: 'plain', warning: 'warn', error: 'bad', critical: 'bad' };

  const show = data => {
    const seconds = before ? (Date.parse(data.now) - Date.parse(before.now)) / 1000 : 0;
    document.title = `${data.daemon} on ${data.host}`;
    set(byId('daemon'), data.daemon);
    set(byId('facts'), `${data.host}, process ${data.process}, ${data.version.split('+')[0]}, up ${span(Date.parse(data.now) - Date.parse(data.started))}`);
    showHealth(problems(data));
    byId('demanders-section').hidden = !data.demanders;
    byId('programs-section').hidden = byId('segments-section').hidden = !data.programs;
    if (data.programs) showPager(data, seconds); else showSponsor(data, seconds);
    set(byId('sponsors-note'), data.sponsors ? '' : 'known to the host\'s pager');
    rows('sponsors', data.sponsors || [], [
      { text: s => s.sponsor, title: s => s.id || '' },
      tag(s => s.state.replace('_', ' '), s => states[s.state] || 'plain'),
      bar(s => s.offered_bytes ? s.lent_bytes / s.offered_bytes : 0, s => s.problem ? '–' : `${bytes(s.lent_bytes)} (${percent(s.offered_bytes ? s.lent_bytes / s.offered_bytes : 0)})`),
      number(s => s.problem ? '–' : bytes(s.offered_bytes)), number(s => s.problem ? '–' : bytes(s.free_bytes)), number(s => s.problem ? '–' : count(s.demanders)),
      number(s => s.problem ? '–' : count(s.pages_read)), number(s => s.problem ? '–' : count(s.pages_written)),
      { className: 'muted', text: s => Object.entries(s.labels || {}).map(([k, v]) => `${k}=${v}`).join(', ') },
    ], data.sponsors ? 'Not asked yet.' : 'See its page, or heca cluster status.');
    rows('events', data.events, [
      { className: 'mono', text: e => new Date(e.time).toLocaleTimeString([], { hour12: false }), title: e => e.time },
      tag(e => e.level, e => levels[e.level] || 'plain'), { className: 'muted', text: e => e.source }, { className: 'wrap', text: e => e.message },
    ], 'Nothing was said yet.');
    before = data;
  };

  // ---- looking again and again, while somebody looks at the page

  const beat = () => {
    const age = Date.now() - lastAt, state = paused ? 'paused' : lastAt === 0 ? 'connecting' : age > staleMs ? 'stale' : 'live';
    byId('dot').dataset.state = state;
    set(byId('beat'), state === 'stale' ? `no answer for ${span(age)}` : state);
  };

  const look = async () => {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    try {
      const answer = await fetch('/status.json', { cache: 'no-store' });
      if (!answer.ok) throw new Error(String(answer.status));
      last = await answer.json();
      lastAt = Date.now();
      show(last);
    } catch {
      if (lastAt !== 0 && Date.now() - lastAt > staleMs) showHealth([['bad', 'This daemon does not answer any more: what is shown is old.']]);
    }
    beat();
    timer = setTimeout(look, everyMs);
  };

  byId('pause').addEventListener('click', () => {
    paused = !paused;
    byId('pause').setAttribute('aria-pressed', String(paused));
    beat();
    look();
  });
  document.addEventListener('visibilitychange', look);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (last) { before = null; show(last); } });
  look();
})();
