/* Families of symmetric points: a slider over the width. */
for (const part of document.querySelectorAll(".members")) {
  const { element, said, ten, hatch, once, lowered } = Drawing;
  const MOST_CELLS = 16, LEFT = 46, RIGHT = 284, TOP = 12, BOTTOM = 262, LINEAR = 0.02;
  const find = (query) => part.querySelector(query);
  const { blocks, families } = JSON.parse(find("script").textContent);
  const chosen = find("select"), slider = find("input");
  const family = () => families[chosen.selectedIndex], member = () => family().members[Number(slider.value)];
  const all = families.flatMap((one) => one.members), lowest = (one) => one.eigenvalues[0];
  const logs = all.map((one) => Math.log10(one.width)), ends = [Math.min(...logs), Math.max(...logs)];
  const across = (width) => LEFT + ((Math.log10(width) - ends[0]) / (ends[1] - ends[0] || 1)) * (RIGHT - LEFT);

  function clear(name) {
    const picture = find(`svg.${name}`);
    picture.replaceChildren();
    return picture;
  }
  const text = (x, y, words, more = {}) => element("text", { x, y, "text-anchor": "middle", ...more }, words);

  /* the matrix: blocks of few neurons whole, of many as many as there is room for */
  function paintWeights() {
    const picture = clear("weights"), { sizes, own, between } = member();
    const stripes = hatch(picture);
    const there = sizes.map((size, i) => i).filter((i) => sizes[i] > 0);
    const shown = sizes.map((size) => Math.min(size, Math.max(3, Math.floor(MOST_CELLS / there.length))));
    const room = there.reduce((sum, i) => sum + shown[i], 0), cell = 250 / room;
    const box = (x, y, width, height, value) => {
      const opacity = Math.min(1, Math.sqrt(Math.abs(value ?? 0)));
      const fill = value < 0 ? { style: `fill:${stripes}` } : { class: "positive" };
      picture.append(element("rect", { x, y, width, height, "fill-opacity": opacity.toFixed(3), ...fill }));
    };
    let y = 8;
    for (const row of there) {
      let x = 42;
      for (const column of there) {
        const [width, height] = [shown[column] * cell, shown[row] * cell];
        if (row === column) {
          for (let i = 0; i < shown[row]; i++) for (let j = 0; j < shown[row]; j++)
            box(x + j * cell, y + i * cell, cell, cell, i === j ? own[row] : between[row][row]);
        } else box(x, y, width, height, between[row][column]);
        picture.append(element("rect", { x, y, width, height, class: "edge" }));
        if (row === there.at(-1)) picture.append(text(x + width / 2, 276, many(column), {}));
        x += width;
      }
      picture.append(text(38, y + (shown[row] * cell) / 2 + 4, many(row), { "text-anchor": "end" }));
      y += shown[row] * cell;
    }
    const cut = there.filter((i) => shown[i] < sizes[i]);
    if (cut.length) picture.append(text(167, 294, `of ${cut.map((i) => said(sizes[i], 6)).join(" and ")} neurons ${shown[cut[0]]} are drawn`));
    function many(i) { return said(sizes[i], 6); }
  }
  /* eigenvalues: linear near 0, logarithmic beyond */
  const bent = (value) => Math.asinh(value / LINEAR);
  const reach = [Math.min(-LINEAR / 2, ...all.map(lowest)), Math.max(...all.map((one) => one.eigenvalues.at(-1)))].map(bent);
  function paintSpectrum() {
    const picture = clear("spectrum"), stripes = hatch(picture), one = member(), most = Math.max(10, ...one.multiplicities);
    const x = (value) => LEFT + ((bent(value) - reach[0]) / (reach[1] - reach[0])) * (RIGHT - LEFT);
    const y = (count) => BOTTOM - ((Math.log10(count) + 0.4) / (Math.log10(most) + 0.4)) * (BOTTOM - TOP);
    picture.append(element("line", { x1: LEFT, x2: RIGHT, y1: BOTTOM, y2: BOTTOM, class: "axis" }));
    picture.append(element("line", { x1: x(0), x2: x(0), y1: TOP, y2: BOTTOM, class: "zero" }));
    for (let power = 0; power <= Math.log10(most); power += Math.max(1, Math.floor(Math.log10(most) / 4)))
      picture.append(text(LEFT - 4, y(10 ** power) + 4, ten(power), { "text-anchor": "end" }));
    const ticks = [-1, -0.1, 0, 0.1, 1, 10, 100, 1e3, 1e4, 1e5].filter((v) => bent(v) >= reach[0] && bent(v) <= reach[1]);
    for (const tick of ticks) picture.append(text(x(tick), BOTTOM + 14, tick >= 1 ? ten(Math.log10(tick)) : said(tick)));
    picture.append(text((LEFT + RIGHT) / 2, BOTTOM + 31, "eigenvalue"));
    one.eigenvalues.forEach((value, i) => {
      const top = y(one.multiplicities[i]), fill = value < 0 ? { style: `fill:${stripes}` } : { class: "positive" };
      picture.append(element("rect", { x: x(value) - 3, y: top, width: 6, height: BOTTOM - top, ...fill }));
    });
  }
  /* a quantity against the width; loss on a logarithmic scale */
  function paintCurve(name, value, words, ticks) {
    const picture = clear(name);
    const values = all.map(value).filter(Number.isFinite), [low, high] = [Math.min(...values), Math.max(...values)];
    const y = (v) => BOTTOM - ((v - low) / (high - low || 1)) * (BOTTOM - TOP);
    picture.append(element("line", { x1: LEFT, x2: RIGHT, y1: BOTTOM, y2: BOTTOM, class: "axis" }));
    for (const [at, label] of ticks(low, high)) {
      picture.append(text(LEFT - 4, y(at) + 4, label, { "text-anchor": "end" }));
      picture.append(element("line", { x1: LEFT, x2: RIGHT, y1: y(at), y2: y(at), class: label === "0" ? "zero" : "grid" }));
    }
    for (let power = Math.ceil(ends[0]); power <= ends[1]; power++)
      picture.append(text(across(10 ** power), BOTTOM + 14, ten(power)));
    picture.append(text((LEFT + RIGHT) / 2, BOTTOM + 31, "width k"));
    for (const other of families) {
      const points = other.members.map((one) => `${across(one.width).toFixed(1)},${y(value(one)).toFixed(1)}`);
      picture.append(element("polyline", { points: points.join(" "), class: other === family() ? "curve" : "curve faint" }));
    }
    family().members.forEach((one, i) => {
      const now = i === Number(slider.value);
      const dot = element("circle", { cx: across(one.width), cy: y(value(one)), r: now ? 6 : 3, class: `${one.kind === "minimum" ? "dot" : "dot hollow"}${now ? " now" : ""}` });
      dot.addEventListener("click", () => { slider.value = i; show(); });
      picture.append(dot);
    });
    picture.append(text(LEFT, TOP - 3, words, { "text-anchor": "start" }));
  }
  function linear(low, high) {
    return Drawing.round(low, high, 6).ticks.map((tick) => [tick, Math.abs(tick) < 1e-12 ? "0" : said(tick)]);
  }
  function powers(low, high) {
    const found = [];
    for (let power = Math.ceil(low); power <= high; power++) found.push([power, ten(power)]);
    return found;
  }
  function tabulate() {
    const { sizes, own, between } = member(), there = sizes.map((size, i) => i).filter((i) => sizes[i] > 0);
    const row = (cells, head) => {
      const made = document.createElement("tr");
      cells.forEach((cell, i) => {
        const one = document.createElement(head || i === 0 ? "th" : "td");
        if (head || i === 0) one.scope = head ? "col" : "row";
        if (i > 0) one.className = "number";
        one.textContent = cell;
        made.append(one);
      });
      return made;
    };
    find("thead").replaceChildren(row(["neurons", "how many", "own input", ...there.map((i) => `${blocks[i]} inputs`)], true));
    find("tbody").replaceChildren(...there.map((i) => row([blocks[i], said(sizes[i], 6), said(own[i], 4), ...there.map((j) => said(between[i][j], 4))])));
  }
  function show() {
    const one = member(), negative = one.multiplicities.filter((count, i) => one.eigenvalues[i] < 0).reduce((a, b) => a + b, 0);
    find("output").textContent = `k = ${said(one.width, 6)}`;
    slider.setAttribute("aria-valuetext", `k = ${one.width}`);
    find("[role=status]").textContent = `${lowered(family().name)} at k = ${said(one.width, 6)}: ${one.kind}, loss ${said(one.loss)}, lowest eigenvalue ${said(lowest(one))}`
      + (negative ? `; ${said(negative, 6)} of ${said(one.width ** 2, 6)} eigenvalues are negative.` : `; none of ${said(one.width ** 2, 6)} eigenvalues is negative.`);
    paintWeights();
    paintSpectrum();
    paintCurve("lowest", lowest, "lowest eigenvalue", linear);
    paintCurve("loss", (other) => Math.log10(other.loss), "loss", powers);
    tabulate();
  }
  function choose() {
    const widths = family().members;
    slider.max = widths.length - 1;
    slider.value = Math.max(0, widths.findIndex((one) => one.kind === "minimum"));
    show();
  }
  for (const one of families) chosen.append(new Option(lowered(one.name)));
  chosen.addEventListener("change", choose);
  slider.addEventListener("input", show);
  once(part, choose);
}
