/* Boxes of a proof: a picture to zoom into. */
for (const part of document.querySelectorAll(".boxes")) {
  const { element, said, bounded, round, once } = Drawing;
  const LEFT = 58, TOP = 34, HIGH = 300, BOTTOM = HIGH - 38, TIGHT = 0.7, FEWEST = 2, PER_TICK = 75;
  const find = (query) => part.querySelector(query);
  const told = JSON.parse(find("script").textContent);
  const { symbol, also, power } = told;
  const families = told.families.map((one) => ({ ...one, unpacked: null }));
  const chosenFamily = find("select.family"), chosenBand = find("select.band"), picture = find("svg");
  let from = 0, to = 1, selected = -1, wide = 640, right = 630;

  function unpack(text, kind) {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    return new kind(bytes.buffer);
  }
  function here() {
    const one = families[chosenFamily.selectedIndex];
    one.unpacked ??= {
      low: unpack(one.ends[0], Float64Array), high: unpack(one.ends[1], Float64Array),
      bands: one.bands.map((band) => band.map((end) => unpack(end, Float32Array))),
      told: one.told.map((values) => unpack(values, Float32Array)),
    };
    return one.unpacked;
  }
  const band = () => here().bands[chosenBand.selectedIndex];
  const whole = () => [here().low[0], here().high.at(-1)];
  const x = (value) => LEFT + ((value - from) / (to - from)) * (right - LEFT);
  const value = (place) => from + ((place - LEFT) / (right - LEFT)) * (to - from);
  /* the first box that ends behind a place */
  function first(place) {
    const { high } = here();
    let low = 0, top = high.length;
    while (low < top) { const middle = (low + top) >> 1; if (high[middle] > place) top = middle; else low = middle + 1; }
    return low;
  }
  function visible() {
    const { low } = here(), found = [];
    for (let i = first(from); i < low.length && low[i] < to; i++) found.push(i);
    return found;
  }
  /* neighbours that no pixel tells apart are drawn as one, as high as all of them */
  function merged(boxes, [least, greatest]) {
    const { low, high } = here(), found = [];
    for (const i of boxes) {
      const last = found.at(-1), ends = [Math.max(low[i], from), Math.min(high[i], to)];
      if (last && low[i] <= last.end && x(ends[1]) - x(last.begin) < TIGHT) {
        last.end = ends[1];
        last.low = Math.min(last.low, least[i]);
        last.high = Math.max(last.high, greatest[i]);
        last.boxes += 1;
      } else found.push({ begin: ends[0], end: ends[1], low: least[i], high: greatest[i], boxes: 1, number: i });
    }
    return found;
  }
  function paint() {
    wide = picture.clientWidth || wide;
    right = wide - 10;
    picture.setAttribute("viewBox", `0 0 ${wide} ${HIGH}`);
    const boxes = visible(), bounds = band(), finite = boxes.flatMap((i) => [bounds[0][i], bounds[1][i]]).filter(Number.isFinite);
    let [bottom, top] = finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
    if (from <= whole()[0] && to >= whole()[1]) bottom = Math.min(bottom, 0);
    const room = 0.06 * (top - bottom) || Math.abs(top) || 1;
    [bottom, top] = [bottom - room, top + room];
    const y = (v) => BOTTOM - ((Math.min(Math.max(v, bottom), top) - bottom) / (top - bottom)) * (BOTTOM - TOP);
    const text = (at, height, words, more = {}) => element("text", { x: at, y: height, "text-anchor": "middle", ...more }, words);
    picture.replaceChildren();
    const upright = round(bottom, top, 4);
    for (const tick of upright.ticks) {
      picture.append(element("line", { x1: LEFT, x2: right, y1: y(tick), y2: y(tick), class: Math.abs(tick) < 1e-12 ? "zero" : "grid" }));
      picture.append(text(LEFT - 5, y(tick) + 4, said(Math.abs(tick) < 1e-12 ? 0 : tick, upright.digits), { "text-anchor": "end" }));
    }
    for (const one of merged(boxes, bounds)) {
      const height = Math.max(1, y(one.low) - y(one.high));
      const name = one.boxes > 1 ? "many" : one.number === selected ? "box chosen" : one.number % 2 ? "box odd" : "box";
      picture.append(element("rect", { x: x(one.begin), y: y(one.high), width: Math.max(0.4, x(one.end) - x(one.begin)), height, class: name }));
    }
    if (selected >= 0 && here().low[selected] < to && here().high[selected] > from) {
      const middle = x((Math.max(here().low[selected], from) + Math.min(here().high[selected], to)) / 2);
      picture.append(element("path", { d: `M${middle - 5} ${BOTTOM + 1}h10l-5 -7z`, class: "pointer" }));
    }
    picture.append(element("line", { x1: LEFT, x2: right, y1: BOTTOM, y2: BOTTOM, class: "axis" }));
    const along = round(from, to, Math.max(2, (right - LEFT) / PER_TICK));
    for (const tick of along.ticks) picture.append(text(x(tick), BOTTOM + 15, said(Math.abs(tick) < 1e-15 ? 0 : tick, along.digits)));
    picture.append(text((LEFT + right) / 2, BOTTOM + 33, symbol));
    if (also) {
      for (const tick of along.ticks) if (tick > 0 || power > 0) picture.append(text(x(tick), TOP - 8, said(tick ** power, along.digits)));
      picture.append(text(LEFT - 5, TOP - 8, also, { "text-anchor": "end" }));
    }
    tell(boxes.length);
  }
  const inOther = (s) => (s === 0 && power < 0 ? "∞" : said(s ** power, 6));
  function span(low, high) {
    const there = `${said(low, 6)} ≤ ${symbol} ≤ ${said(high, 6)}`;
    if (!also) return there;
    const [a, b] = power < 0 ? [high, low] : [low, high];
    return `${there}, so that ${also} is ${inOther(a)} to ${inOther(b)}`;
  }
  function tell(count) {
    const { low, high } = here();
    find(".view-words").textContent = `${count} of ${low.length} boxes: ${span(Math.max(from, whole()[0]), Math.min(to, whole()[1]))}.`;
    if (selected < 0) { find("[role=status]").replaceChildren(); return; }
    const lines = [line(`Box ${selected + 1}: ${span(low[selected], high[selected])}.`)];
    told.bands.forEach((one, i) => {
      const [least, greatest] = here().bands[i].map((values) => values[selected]);
      lines.push(line(one.low, bounded(least, -1)), line(one.high, bounded(greatest, 1)));
    });
    told.told.forEach((words, i) => lines.push(line(words, said(here().told[i][selected]))));
    find("[role=status]").replaceChildren(...lines);
  }
  function line(words, number) {
    const made = document.createElement("span");
    if (number === undefined) made.textContent = words;
    else {
      const strong = document.createElement("strong");
      strong.textContent = number;
      made.append(strong, ` ${words}`);
    }
    return made;
  }
  function zoom(factor, around = (from + to) / 2) {
    const [begin, end] = whole(), i = Math.min(first(around), here().low.length - 1);
    const least = Math.max(FEWEST * (here().high[i] - here().low[i]), 1e-14);
    const width = Math.min(end - begin, Math.max(Math.min(least, to - from), (to - from) * factor));
    const share = (around - from) / (to - from);
    move(around - share * width, width);
  }
  function move(start, width = to - from) {
    const [begin, end] = whole();
    from = Math.min(Math.max(start, begin), end - width);
    to = from + width;
    paint();
  }
  function select(number) {
    const { low, high } = here();
    selected = Math.min(Math.max(number, 0), low.length - 1);
    if (low[selected] < from || high[selected] > to) {
      const width = Math.max(to - from, high[selected] - low[selected]);
      move((low[selected] + high[selected]) / 2 - width / 2, width);
    } else paint();
  }
  const actions = {
    in: () => { const { low, high } = here(), middle = (low[selected] + high[selected]) / 2; zoom(0.5, middle > from && middle < to ? middle : undefined); },
    out: () => zoom(2), left: () => move(from - (to - from) / 4), right: () => move(from + (to - from) / 4),
    all: () => { [from, to] = whole(); paint(); },
    previous: () => select(selected < 0 ? first(from) : selected - 1), next: () => select(selected < 0 ? first(from) : selected + 1),
  };
  const keys = { "+": "in", "=": "in", "-": "out", "−": "out", ArrowLeft: "left", ArrowRight: "right", 0: "all", n: "next", p: "previous" };
  const frame = find(".window");
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    actions[keys[event.key]]();
  });
  const place = (event) => { const box = picture.getBoundingClientRect(); return value(((event.clientX - box.left) / box.width) * wide); };
  frame.addEventListener("wheel", (event) => {
    if (document.activeElement !== frame && !event.ctrlKey) return;
    event.preventDefault();
    zoom(2 ** Math.min(1, Math.max(-1, event.deltaY / 200)), Math.min(Math.max(place(event), from), to));
  }, { passive: false });
  picture.addEventListener("click", (event) => { frame.focus({ preventScroll: true }); select(first(place(event))); });
  for (const button of part.querySelectorAll("[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
  for (const one of families) chosenFamily.append(new Option(one.name));
  find(".which").hidden = families.length < 2;
  for (const one of told.bands) chosenBand.append(new Option(one.name.replaceAll("_", " ")));
  chosenFamily.addEventListener("change", () => { selected = -1; actions.all(); });
  chosenBand.addEventListener("change", paint);
  once(part, () => { actions.all(); new ResizeObserver(paint).observe(frame); });
}
