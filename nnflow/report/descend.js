"use strict";
/* Losses of two weights: a click is a start, from which gradient descent runs on the sampled grid. */
for (const part of document.querySelectorAll(".terrain")) {
  const MOST_STEPS = 5000, BANDS = 16, KEPT = 6, NEARLY_FLAT = 1e-5;
  const find = (query) => part.querySelector(query);
  const canvas = find("canvas"), paper = canvas.getContext("2d"), slider = find("input");
  const grounds = JSON.parse(find("script").textContent).map(prepared);
  let ground = null, starts = [], picture = null;

  function prepared(told) {
    const bytes = Uint8Array.from(atob(told.loss), (c) => c.charCodeAt(0));
    const loss = new Float32Array(bytes.buffer), [nx, ny] = told.size;
    const hx = (told.first[1] - told.first[0]) / (nx - 1), hy = (told.second[1] - told.second[0]) / (ny - 1);
    const gx = new Float32Array(loss.length), gy = new Float32Array(loss.length);
    let steepest = 0;
    for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      const [w, e] = [Math.max(i - 1, 0), Math.min(i + 1, nx - 1)], [s, n] = [Math.max(j - 1, 0), Math.min(j + 1, ny - 1)];
      const at = j * nx + i;
      gx[at] = (loss[j * nx + e] - loss[j * nx + w]) / ((e - w) * hx);
      gy[at] = (loss[n * nx + i] - loss[s * nx + i]) / ((n - s) * hy);
      steepest = Math.max(steepest, Math.hypot(gx[at], gy[at]) || 0);
    }
    const sorted = loss.filter(Number.isFinite).sort();
    const levels = Array.from({ length: BANDS - 1 }, (_, k) => sorted[Math.floor(((k + 1) / BANDS) * (sorted.length - 1))]);
    return { ...told, loss, nx, ny, hx, hy, gx, gy, steepest, levels, rate: told.rate ?? (nx * hx) / (40 * steepest) };
  }
  /* bilinear between the four points of the grid around a place; NaN outside of the window */
  function at(values, x, y) {
    const { nx, ny, hx, hy, first, second } = ground;
    const u = (x - first[0]) / hx, v = (y - second[0]) / hy;
    if (!(u >= 0 && v >= 0 && u <= nx - 1 && v <= ny - 1)) return NaN;
    const i = Math.min(Math.floor(u), nx - 2), j = Math.min(Math.floor(v), ny - 2), a = u - i, b = v - j, k = j * nx + i;
    return (1 - b) * ((1 - a) * values[k] + a * values[k + 1]) + b * ((1 - a) * values[k + nx] + a * values[k + nx + 1]);
  }
  const pixel = (x, y) => [
    ((x - ground.first[0]) / (ground.first[1] - ground.first[0])) * canvas.width,
    (1 - (y - ground.second[0]) / (ground.second[1] - ground.second[0])) * canvas.height,
  ];
  const place = (i, j) => [
    ground.first[0] + (i / canvas.width) * (ground.first[1] - ground.first[0]),
    ground.second[0] + (1 - j / canvas.height) * (ground.second[1] - ground.second[0]),
  ];
  const rate = () => ground.rate * 10 ** Number(slider.value);
  const said = (number) => String(Number(number.toPrecision(3))).replace("-", "−");

  function paintGround() {
    const { width, height } = canvas, image = paper.createImageData(width, height);
    const bands = new Uint8Array(width * height);
    for (let j = 0; j < height; j++) for (let i = 0; i < width; i++) {
      const loss = at(ground.loss, ...place(i + 0.5, j + 0.5));
      bands[j * width + i] = ground.levels.filter((level) => loss > level).length;
    }
    for (let j = 0; j < height; j++) for (let i = 0; i < width; i++) {
      const here = j * width + i, share = bands[here] / (BANDS - 1);
      const edge = (i && bands[here] !== bands[here - 1]) || (j && bands[here] !== bands[here - width]);
      const shade = edge ? 0.82 : 1;
      image.data.set([(96 + 150 * share) * shade, (140 + 108 * share) * shade, (186 + 66 * share) * shade, 255], 4 * here);
    }
    picture = image;
  }
  function descent([x, y]) {
    const path = [[x, y]];
    for (let step = 0; step < MOST_STEPS; step++) {
      const gx = at(ground.gx, x, y), gy = at(ground.gy, x, y);
      if (Math.hypot(gx, gy) < NEARLY_FLAT * ground.steepest) return [path, "stops"];
      x -= rate() * gx;
      y -= rate() * gy;
      path.push([x, y]);
      if (Number.isNaN(at(ground.loss, x, y))) return [path, "leaves"];
    }
    return [path, "goes on"];
  }
  function paintPaths() {
    paper.putImageData(picture, 0, 0);
    let told = `To the right w₁ from ${ground.first.map(said).join(" to ")}, upwards w₂ from ${ground.second.map(said).join(" to ")}.`;
    for (const start of starts) {
      const [path, end] = descent(start), last = path.at(-1), dots = path.slice(0, 200);
      paper.strokeStyle = paper.fillStyle = "#8a4405";
      paper.lineWidth = 2.5;
      paper.beginPath();
      for (const spot of path) paper.lineTo(...pixel(...spot));
      paper.stroke();
      for (const spot of dots) { paper.beginPath(); paper.arc(...pixel(...spot), 3.5, 0, 7); paper.fill(); }
      paper.beginPath(); paper.arc(...pixel(...start), 7, 0, 7); paper.fillStyle = "#fff"; paper.fill(); paper.stroke();
      const steps = path.length - 1, from = `From (${start.map(said).join(", ")}) with α = ${said(rate())}: `;
      told = from + (end === "leaves" ? `it leaves the window after ${steps} ${steps === 1 ? "step" : "steps"}.`
        : `loss ${said(at(ground.loss, ...last))} at (${last.map(said).join(", ")}) after ${steps} steps`
          + (end === "stops" ? "." : ", and it still moves."));
    }
    find("output").textContent = `α = ${said(rate())}`;
    find("[role=status]").textContent = told;
  }
  function add(start) {
    starts = [...starts, start].slice(-KEPT);
    paintPaths();
  }
  function choose(number) {
    ground = grounds[number];
    starts = [];
    paintGround();
    paintPaths();
  }
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    add(place(((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height));
  });
  slider.addEventListener("input", paintPaths);
  find(".anywhere").addEventListener("click", () => add(place(Math.random() * canvas.width, Math.random() * canvas.height)));
  find(".fresh").addEventListener("click", () => { starts = []; paintPaths(); });
  find("select")?.addEventListener("change", (event) => choose(event.target.selectedIndex));
  /* drawn when it is first seen */
  new IntersectionObserver((seen, watch) => {
    if (seen.some((one) => one.isIntersecting)) { watch.disconnect(); choose(0); }
  }).observe(part);
}
