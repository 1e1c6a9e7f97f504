"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("generation");
  const play = document.getElementById("play");
  const off = new Set();
  let playing = 0;
  root.classList.add("js");

  const stops = data.stops; // the generations that the slider stops at: all, or of very many some
  const some = stops.length <= stops[stops.length - 1];

  // what there is of a generation, or where only some are shown, of the last one before it
  function of(generation, them, number) {
    const numbers = them.map(number);
    const exact = numbers.indexOf(generation);
    if (exact >= 0 || !some || !numbers.some((one) => one > generation)) return them[exact];
    return them[numbers.lastIndexOf(Math.max(...numbers.filter((one) => one < generation)))];
  }

  // one generation for everything on the page
  function show(place) {
    const generation = stops[place];
    slider.value = place;
    slider.setAttribute("aria-valuetext", `generation ${generation}`);
    document.getElementById("which").textContent = String(generation);
    for (const strip of all(".frames")) {
      const shown = of(generation, all("[data-g]", strip), (frame) => Number(frame.dataset.g));
      for (const frame of strip.children) frame.classList.toggle("on", frame === shown);
      strip.querySelector(".absent").classList.toggle("on", !shown);
    }
    for (const part of all("[data-row]")) part.classList.toggle("on", part.dataset.row === String(generation));
    for (const chart of all("svg[data-x0]")) {
      const x = Number(chart.dataset.x0) + Number(chart.dataset.dx) * Math.min(generation, Number(chart.dataset.last));
      const cursor = chart.querySelector(".cursor");
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
    }
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function start() {
    if (Number(slider.value) >= Number(slider.max)) show(0);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    playing = setInterval(() => {
      if (Number(slider.value) >= Number(slider.max)) stop();
      else show(Number(slider.value) + 1);
    }, 700);
  }

  // arms are switched on and off everywhere at once
  function toggle(button, on) {
    const number = button.dataset.toggle;
    button.setAttribute("aria-pressed", String(on));
    if (number === "nulls") root.classList.toggle("nulls", on);
    else {
      if (on) off.delete(number); else off.add(number);
      for (const part of all(`[data-arm="${number}"]`)) part.classList.toggle("off", !on);
    }
  }

  // the values at one generation, taken from the table below the chart
  function tell(chart, place) {
    const figure = chart.closest(".chart");
    const table = figure.querySelector("table");
    const heads = all("thead th", table);
    const rows = all("tbody tr", table).filter((one) => /^\d+$/.test(one.cells[0].textContent));
    const row = of(stops[place], rows, (one) => Number(one.cells[0].textContent));
    hush();
    if (!row) return;
    const generation = Number(row.cells[0].textContent);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    const title = document.createElement("strong");
    title.textContent = `generation ${generation}`;
    tip.append(title);
    heads.forEach((head, place) => {
      const hidden = off.has(head.dataset.of) || (head.dataset.null !== undefined && !root.classList.contains("nulls"));
      if (place === 0 || hidden || !row.cells[place].textContent) return;
      const line = document.createElement("span");
      line.textContent = `${head.textContent}: ${row.cells[place].textContent}`;
      tip.append(line);
    });
    figure.append(tip);
    const share = (Number(chart.dataset.x0) + Number(chart.dataset.dx) * generation) / chart.viewBox.baseVal.width;
    const x = share * chart.clientWidth;
    const left = share < 0.5 ? x + 14 : x - tip.offsetWidth - 14;
    tip.style.left = `${Math.max(0, Math.min(left, figure.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${chart.offsetTop === undefined ? 60 : chart.offsetTop}px`;
  }

  function hush() {
    for (const tip of all(".tip")) tip.remove();
  }

  function nearest(chart, event) {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const g = Math.min(Number(chart.dataset.last), (x - Number(chart.dataset.x0)) / Number(chart.dataset.dx));
    const away = stops.map((stop) => (stop <= Number(chart.dataset.last) ? Math.abs(stop - g) : Infinity));
    return away.indexOf(Math.min(...away));
  }

  for (const chart of all("svg[data-x0]")) {
    chart.addEventListener("pointermove", (event) => tell(chart, nearest(chart, event)));
    chart.addEventListener("pointerleave", hush);
    chart.addEventListener("click", (event) => { stop(); show(nearest(chart, event)); });
    chart.addEventListener("focus", () => tell(chart, Number(slider.value)));
    chart.addEventListener("blur", hush);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) { if (event.key === "Escape") hush(); return; }
      event.preventDefault();
      stop();
      show(Math.max(0, Math.min(Number(slider.max), Number(slider.value) + step)));
      tell(chart, Math.min(Number(slider.value), stops.findLastIndex((stop) => stop <= Number(chart.dataset.last))));
    });
  }
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => (playing ? stop() : start()));
  for (const button of all("[data-toggle]")) {
    button.addEventListener("click", () => toggle(button, button.getAttribute("aria-pressed") !== "true"));
  }

  // tables to take away: a spreadsheet must not run what begins as a formula does (as in ablation.csv)
  const harmless = (text) => (/^ *[=+\-@\t\r\n'＝＋－＠]/.test(text) ? `'${text}` : text);
  const number = /^[-+]?[\d.,]+( %)?( \[[-+\d.,e ]+\]| and [-+]?[\d.,]+)?$/;
  const quoted = (value) => {
    const text = value === null ? "" : typeof value === "string" ? harmless(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  const copied = (text) => (number.test(text) ? text : harmless(text));

  function csv(records) {
    const heads = [...new Set(records.flatMap((record) => Object.keys(record)))];
    const lines = [heads, ...records.map((record) => heads.map((head) => record[head] ?? null))];
    return lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not allowed from here: the old way
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  function showMessage(button, words) {
    const before = button.textContent;
    button.textContent = words;
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      const rows = source.rows ? [...source.rows].map((row) => [...row.cells].map((cell) => copied(cell.textContent.trim())).join("\t")) : [source.textContent];
      await copy(rows.join("\n"));
      showMessage(button, "Copied");
    });
  }
  for (const button of all("[data-csv]")) {
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv(data.tables[button.dataset.csv])], { type: "text/csv" }));
      link.download = `${button.dataset.csv}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  // a page of a run that still works comes back as it was left
  const place = `imgcollapse:${location.pathname}`;
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(place)); sessionStorage.removeItem(place); } catch { /* nothing was kept */ }
  const followed = !kept || kept.generation >= kept.max;
  show(followed ? Number(slider.max) : Math.min(kept.generation, Number(slider.max)));
  if (kept) {
    for (const button of all("[data-toggle]")) {
      if (button.dataset.toggle in kept.toggles) toggle(button, kept.toggles[button.dataset.toggle]);
    }
    all("details").forEach((one, number) => { one.open = kept.open.includes(number); });
    scrollTo(0, kept.scroll);
  }
  if (data.reload) {
    setInterval(() => {
      if (playing) return;
      const toggles = Object.fromEntries(all("[data-toggle]").map((b) => [b.dataset.toggle, b.getAttribute("aria-pressed") === "true"]));
      const open = all("details").map((one, number) => (one.open ? number : -1)).filter((number) => number >= 0);
      const state = { generation: Number(slider.value), max: Number(slider.max), toggles, open, scroll: scrollY };
      try { sessionStorage.setItem(place, JSON.stringify(state)); } catch { /* it then begins anew */ }
      location.reload();
    }, 1000 * data.reload);
  }
})();
