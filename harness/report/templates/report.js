"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const note = document.getElementById("note");
  document.documentElement.classList.add("js");

  function element(name, text, kind) {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  // Sorting: a click on a head, numbers from high to low first; rows without a number stay last.
  function number(cell) {
    const text = cell.dataset.value ?? cell.textContent;
    const value = parseFloat(text);
    return text === "" || Number.isNaN(value) ? null : value;
  }
  function sort(table, column, head) {
    const text = head.dataset.kind === "text";
    const before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : text;
    all("th", table.tHead).forEach((th) => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    const key = (row) => (text ? row.cells[column].textContent : number(row.cells[column]));
    rows.sort((x, y) => {
      const a = key(x);
      const b = key(y);
      if (a === null || b === null) return (a === null) - (b === null);
      const order = text ? a.localeCompare(b) : a - b;
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }
  all("table.sortable").forEach((table) => {
    all("th", table.tHead).forEach((head, column) => {
      const button = element("button", "");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, column, head));
    });
  });

  // The runs behind a cell.
  function show(cell) {
    const command = cell.closest("tr").dataset.command;
    note.replaceChildren(element("span", cell.dataset.runs));
    if (command) note.append(element("code", command));
    note.hidden = false;
    const at = cell.getBoundingClientRect();
    const size = note.getBoundingClientRect();
    const left = Math.min(at.left, window.innerWidth - size.width - 8);
    const above = at.top - size.height - 6;
    note.style.left = `${Math.max(8, left)}px`;
    note.style.top = `${above > 4 ? above : at.bottom + 6}px`;
  }
  const hide = () => { note.hidden = true; };
  const visible = (cell) => cell.offsetParent !== null;
  function move(cell, key) {
    const row = cell.parentElement;
    const cells = all("td[data-runs]", row).filter(visible);
    if (key === "ArrowLeft" || key === "ArrowRight") {
      return cells[cells.indexOf(cell) + (key === "ArrowRight" ? 1 : -1)];
    }
    const next = key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
    return next?.cells[cell.cellIndex];
  }
  all("table.comparison").forEach((table) => {
    const cells = all("td[data-runs]", table);
    cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
    table.addEventListener("pointerover", (event) => {
      const cell = event.target.closest("td[data-runs]");
      if (cell) show(cell); else hide();
    });
    table.addEventListener("pointerleave", hide);
    table.addEventListener("focusin", (event) => {
      if (event.target.matches("td[data-runs]")) show(event.target);
    });
    table.addEventListener("focusout", hide);
    table.addEventListener("keydown", (event) => {
      if (!event.key.startsWith("Arrow") || !event.target.matches("td[data-runs]")) return;
      const next = move(event.target, event.key);
      event.preventDefault();
      if (!next?.matches("td[data-runs]")) return;
      event.target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true, capture: true });

  // Copying: the text as it stands in the page.
  async function copy(button) {
    const source = document.getElementById(button.dataset.of);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl-C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
  all("button.copy").forEach((button) => button.addEventListener("click", () => copy(button)));

  // Pairs: another baseline, category or metric.
  function signed(value, digits) {
    return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
  }
  const verdict = (value) => (value > 0 ? "better" : value < 0 ? "worse" : "open");
  function baselineRows(data, base) {
    const lines = data.pairs.filter(([a, b]) => a === base || b === base).map((pair) => {
      const [a, b, mean, half, p, clear, n] = pair;
      const sign = b === base ? 1 : -1;
      return { loss: data.losses[b === base ? a : b], value: sign * mean, mean, half, p, clear, n };
    });
    const reach = Math.max(...lines.map((l) => Math.abs(l.value) + Number(l.half))) || 1;
    return lines.map((line) => {
      const row = element("tr", "", verdict(line.clear * line.value));
      const head = element("th", line.loss);
      head.scope = "row";
      const digits = line.mean.split(".")[1].length;
      const text = signed(line.value, digits) + (line.half ? ` ± ${line.half}` : "");
      const plot = element("td", "", "plot");
      const bar = element("i", "");
      const dot = element("b", "");
      bar.style.left = `${50 + (50 * (line.value - line.half)) / reach}%`;
      bar.style.width = `${(100 * line.half) / reach}%`;
      dot.style.left = `${50 + (50 * line.value) / reach}%`;
      plot.append(bar, dot);
      row.append(head, element("td", text), plot, element("td", line.p || "no test"));
      row.append(element("td", line.n));
      return row;
    });
  }
  function matrixRows(data) {
    const cells = data.losses.map(() => data.losses.map(() => element("td", "")));
    data.pairs.forEach(([a, b, mean, , , clear]) => {
      [[a, b, 1], [b, a, -1]].forEach(([row, column, sign]) => {
        const value = sign * mean;
        cells[row][column] = element("td", signed(value, 1), verdict(clear * value));
      });
    });
    return cells.map((row, place) => {
      const line = element("tr", "");
      const head = element("th", `${place + 1}\u00a0${data.losses[place]}`);
      head.scope = "row";
      line.append(head, ...row);
      return line;
    });
  }
  all(".pairs").forEach((part) => {
    const every = JSON.parse(part.querySelector(".pair-data").textContent);
    const column = part.querySelector(".pair-column");
    const baseline = part.querySelector(".pair-baseline");
    function drawDifferences() {
      const data = every[column.value];
      const base = Number(baseline.value);
      part.querySelector(".baseline").textContent = data.losses[base];
      part.querySelector(".differences tbody").replaceChildren(...baselineRows(data, base));
    }
    function drawColumn() {
      const data = every[column.value];
      const name = baseline.selectedOptions[0].textContent;
      baseline.replaceChildren(...data.losses.map((loss, place) => {
        const option = element("option", loss);
        option.value = place;
        option.selected = loss === name;
        return option;
      }));
      const unit = data.unit ? `, in ${data.unit}` : "";
      const category = data.category[0].toUpperCase() + data.category.slice(1);
      all(".pair-title", part).forEach((title) => {
        title.textContent = `${category} ${data.metric}${unit}`;
      });
      const heads = data.losses.map((loss, place) => {
        const head = element("th", place + 1);
        head.scope = "col";
        head.title = loss;
        return head;
      });
      part.querySelector(".matrix thead tr").replaceChildren(element("th", ""), ...heads);
      part.querySelector(".matrix tbody").replaceChildren(...matrixRows(data));
      drawDifferences();
    }
    column.addEventListener("change", drawColumn);
    baseline.addEventListener("change", drawDifferences);
  });

  // Served while a study runs: load again when the records have changed.
  if (document.body.dataset.refresh) {
    let version = null;
    setInterval(async () => {
      try {
        const now = await (await fetch("version")).text();
        if (version !== null && now !== version) location.reload();
        version = now;
      } catch { /* the server has ended: the page stays as it is */ }
    }, 5000);
  }
})();
