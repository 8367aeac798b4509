"use strict";
(() => {
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const one = (id) => document.getElementById(id);
  const views = all(".view"), links = all("aside li a");
  const claims = all(".claim"), query = one("query"), study = one("study");
  const chips = all(".chips button");
  let texts = null;

  /* pictures stand in the page once; the start shows copies of them */
  for (const image of all("img.copy")) {
    const source = one(image.dataset.of)?.querySelector("img");
    if (source) { image.loading = "lazy"; image.src = source.src; }
  }

  /* one view at a time, named by the address */
  function route() {
    const [name, asked] = decodeURIComponent(location.hash.slice(1)).split("?");
    const target = one(name || "top") || one("top");
    const view = target.closest(".view") || one("top");
    for (const each of views) each.classList.toggle("on", each === view);
    for (const link of links) {
      const here = link.hash === "#" + view.id;
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      // the list of studies is longer than the screen
      if (here) link.scrollIntoView({ block: "nearest", behavior: "instant" });
    }
    document.querySelector("aside").classList.remove("open");
    one("menu").setAttribute("aria-expanded", "false");
    if (view.id === "claims" && asked !== undefined) choose(new URLSearchParams(asked));
    for (let fold = target; fold; fold = fold.parentElement) if (fold.matches("details")) fold.open = true;
    if (target.matches(".claim") && target.hidden) choose(new URLSearchParams());
    label(view);
    document.title = `${view.querySelector("h1").textContent} · nnflow report`;
    if (target === view) scrollTo({ top: 0, behavior: "instant" });
    else target.scrollIntoView({ behavior: "instant" });
  }

  /* tables: sorted by a click on a head; on a phone each row is a card */
  function key(cell) {
    const text = cell.textContent.replaceAll("−", "-").trim();
    const found = text.match(/^[≤≥<> ]*(-?[\d.]+)(?:[^×]*?×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?/);
    if (!found) return text === "–" ? Infinity : text;
    const power = [...(found[2] || "")].map((c) => (c === "⁻" ? "-" : "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(c))).join("");
    return parseFloat(found[1]) * 10 ** Number(power || 0);
  }
  function compare(a, b) {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
    return typeof a === "number" ? -1 : 1;
  }
  function sort(head) {
    const table = head.closest("table"), body = table.tBodies[0], at = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [key(row.cells[at]), row]);
    rows.sort((a, b) => compare(a[0], b[0]) * (down ? -1 : 1));
    body.append(...rows.map((pair) => pair[1]));
  }
  /* only what is shown is worked on: a fold when it opens */
  function label(part) {
    const tables = all("table.sortable", part).filter((table) => !table.closest("details:not([open])"));
    for (const table of tables) if (!table.classList.contains("labelled")) {
      const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
      for (const row of table.tBodies[0].rows)
        for (const cell of row.querySelectorAll("td")) cell.dataset.label = heads[cell.cellIndex];
      for (const head of table.tHead.rows[0].cells) {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        button.addEventListener("click", () => sort(head));
        head.append(button);
      }
      table.classList.add("labelled");
    }
    /* intervals break into lines only where a table would be wider than the page */
    const wide = tables.filter((table) => table.parentElement.scrollWidth > table.parentElement.clientWidth + 1);
    for (const table of wide) table.classList.add("tight");
  }
  document.addEventListener("toggle", (event) => { if (event.target.open) label(event.target); }, true);

  /* claims: the choice stands in the address */
  function pressed(name) {
    return chips.filter((chip) => chip.dataset.key === name && chip.ariaPressed === "true").map((chip) => chip.dataset.value);
  }
  function filter() {
    texts ??= claims.map((claim) => (claim.dataset.study + " " + claim.dataset.claim + " " + claim.textContent).toLowerCase());
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = pressed("verdict"), kinds = pressed("kind");
    let count = 0;
    claims.forEach((claim, i) => {
      const fits = (!verdicts.length || verdicts.includes(claim.dataset.verdict))
        && (!kinds.length || kinds.includes(claim.dataset.kind))
        && (!study.value || study.value === claim.dataset.study)
        && words.every((word) => texts[i].includes(word));
      claim.hidden = !fits;
      count += fits;
    });
    one("shown").textContent = `${count} ${count === 1 ? "statement" : "statements"}`;
  }
  function remember() {
    filter();
    const asked = new URLSearchParams();
    if (query.value) asked.set("q", query.value);
    for (const name of ["verdict", "kind"]) if (pressed(name).length) asked.set(name, pressed(name).join(","));
    if (study.value) asked.set("study", study.value);
    history.replaceState(null, "", "#claims" + (asked.size ? "?" + asked : ""));
  }
  function choose(asked) {
    query.value = asked.get("q") || "";
    study.value = asked.get("study") || "";
    for (const chip of chips) {
      const values = (asked.get(chip.dataset.key) || "").split(",");
      chip.ariaPressed = String(values.includes(chip.dataset.value));
    }
    filter();
  }
  query.addEventListener("input", remember);
  study.addEventListener("change", remember);
  for (const chip of chips) chip.addEventListener("click", () => {
    chip.ariaPressed = String(chip.ariaPressed !== "true");
    remember();
  });
  one("clear").addEventListener("click", () => { choose(new URLSearchParams()); remember(); });
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());

  function csv() {
    const quoted = (text) => {
      const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;
      return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const lines = [["study", "claim", "kind", "statement", "configuration", "comparison", "published", "measured", "low", "high", "verdict", "note"]];
    for (const claim of claims) if (!claim.hidden)
      for (const row of claim.querySelectorAll("tbody tr")) {
        const [sign, ...rest] = row.dataset.v.split("|");
        const numbers = rest.map((text) => (text === "nan" ? "" : text)), verdict = numbers.pop();
        lines.push([claim.dataset.study, claim.dataset.claim, claim.dataset.kind,
          claim.querySelector(".what").firstChild.textContent.trim(), row.cells[0].textContent.replaceAll(", ", ","),
          sign, ...numbers, verdict, row.cells[4].textContent]);
      }
    return lines.map((line) => line.map((text, i) => (i === 5 ? text : quoted(text))).join(",")).join("\n") + "\n";
  }
  one("csv").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "claims-selection.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  /* a figure, large */
  const box = one("box");
  document.addEventListener("click", (event) => {
    const zoom = event.target.closest("a.zoom"), cite = event.target.closest(".cite");
    if (zoom) {
      event.preventDefault();
      const figure = zoom.closest("figure"), caption = figure.querySelector("figcaption").cloneNode(true);
      box.querySelector("img").src = zoom.querySelector("img").src;
      box.querySelector("img").alt = zoom.querySelector("img").alt;
      box.querySelector(".box-caption").replaceChildren(...caption.childNodes);
      box.showModal();
    } else if (cite) {
      navigator.clipboard?.writeText(cite.dataset.cite).catch(() => {});
      const said = document.createElement("q");
      said.textContent = cite.dataset.cite;
      cite.replaceWith(said);
    } else if (event.target === box) box.close();
  });

  /* contents */
  one("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const link of links) if (link.dataset.find !== undefined) {
      const text = link.textContent.toLowerCase() + " " + link.dataset.find;
      link.parentElement.hidden = !words.every((word) => text.includes(word));
    }
    for (const head of all("aside h2")) head.hidden = !all("li:not([hidden])", head.nextElementSibling).length;
  });
  one("find").addEventListener("keydown", (event) => {
    const found = links.find((link) => link.dataset.find !== undefined && !link.parentElement.hidden);
    if (event.key === "Enter" && found) location.hash = found.hash;
  });
  one("menu").addEventListener("click", () => {
    const open = document.querySelector("aside").classList.toggle("open");
    one("menu").setAttribute("aria-expanded", String(open));
  });
  one("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea") || box.open) return;
    const at = views.findIndex((view) => view.classList.contains("on"));
    const studies = views.filter((view) => view.matches(".study"));
    const here = studies.indexOf(views[at]);
    const go = (view) => { if (view) location.hash = view.id; };
    if (event.key === "j") go(here < 0 ? studies[0] : studies[here + 1]);
    else if (event.key === "k") go(here < 0 ? null : studies[here - 1] || one("top"));
    else if (event.key === "h") go(one("top"));
    else if (event.key === "c") go(one("claims"));
    else if (event.key === "/") {
      event.preventDefault();
      if (!views[at].matches("#claims")) { go(one("claims")); route(); }
      query.focus();
    }
  });
  addEventListener("hashchange", route);
  route();
})();
