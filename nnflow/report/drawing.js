/* What drawings share: elements of SVG, numbers in words, axes. */
const Drawing = (() => {
  const SIGNS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  function element(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const raised = (power) => [...String(power)].map((sign) => SIGNS[sign]).join("");
  /* a power of ten on an axis */
  const ten = (power) => (power >= 0 && power < 3 ? String(10 ** power) : `10${raised(power)}`);
  /* S_(k−1) with the signs for indices, where markup can't stand */
  const BELOW = { "(": "₍", ")": "₎", "−": "₋", "+": "₊", k: "ₖ", 0: "₀", 1: "₁", 2: "₂", 3: "₃", 4: "₄", 5: "₅", 6: "₆", 7: "₇", 8: "₈", 9: "₉" };
  const lowered = (words) => words.replace(/_(\([k\d+−]+\)|[k\d])/g, (all, index) => [...index].map((sign) => BELOW[sign]).join(""));
  /* a number with so many digits, as print has it */
  function said(number, digits = 3) {
    if (number === null || Number.isNaN(number)) return "–";
    if (number === 0 || (Math.abs(number) >= 1e-3 && Math.abs(number) < 1e5))
      return String(Number(number.toPrecision(digits))).replace("-", "−");
    if (!Number.isFinite(number)) return number < 0 ? "−∞" : "∞";
    const [mantissa, power] = number.toExponential(digits - 1).split("e");
    const times = Number(mantissa) === 1 ? "" : String(Number(mantissa)).replace("-", "−") + "×";
    return `${times}10${raised(Number(power))}`;
  }
  /* the same, never above (way −1) or below (way 1) the number */
  function bounded(number, way, digits = 3) {
    if (number === 0 || !Number.isFinite(number)) return said(number);
    const step = 10 ** (Math.floor(Math.log10(Math.abs(number))) - digits + 1);
    const parts = Math.round(number / step), near = parts * step;
    return said(way * (near - number) >= 0 ? near : (parts + way) * step, digits + 1);
  }
  /* about so many round numbers from low to high */
  function round(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((part) => part * power).find((one) => one >= raw);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(i * step);
    return { ticks: found, digits: Math.max(3, Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high)) / step)) + 1) };
  }
  /* negative numbers are hatched, so that they are told without colour */
  let hatches = 0;
  function hatch(picture) {
    const id = `hatch-${hatches++}`, pattern = element("pattern", { id, width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    pattern.append(element("rect", { width: 4, height: 4, class: "negative" }), element("rect", { width: 1.5, height: 4, class: "stripe" }));
    const kept = element("defs", {});
    kept.append(pattern);
    picture.append(kept);
    return `url(#${id})`;
  }
  /* when it is first seen */
  function once(part, draw) {
    new IntersectionObserver((seen, watch) => {
      if (seen.some((one) => one.isIntersecting)) { watch.disconnect(); draw(); }
    }).observe(part);
  }
  return { element, said, ten, lowered, bounded, round, hatch, once };
})();
