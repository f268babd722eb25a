// A table of any number of rows, of which only those in sight are in the page; sorted by its heads, searched by a text.
"use strict";

qtaml.VirtualTable = class {
  // columns: {name, value(row), text(row), number, open}; rows: anything; open(row) is called by the button in a cell.
  constructor(place, { label, columns, rows, open, height = 37, whole = 150 }) {
    Object.assign(this, { columns, rows, open, height, whole, shown: rows, sorted: null, chosen: null, printing: false });
    this.box = qtaml.element("div", { class: "table", tabindex: "0", role: "region", "aria-label": label });
    const head = qtaml.element("tr", {}, ...columns.map((column, index) => this.head(column, index)));
    this.body = qtaml.element("tbody", {});
    this.table = qtaml.element("table", { "aria-label": label }, qtaml.element("thead", {}, head), this.body);
    this.box.append(this.table);
    place.append(this.box);
    let waiting = false;
    this.box.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        this.draw();
      });
    });
    // On paper there is no scrolling: as many rows as a few pages hold.
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
    this.draw();
  }

  head(column, index) {
    const button = qtaml.element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => this.sort(index));
    return qtaml.element("th", { scope: "col", "aria-sort": "none", class: column.number ? "number" : null }, button);
  }

  // Sort by a column; the other way if it is sorted by that already. Large numbers come first.
  sort(index) {
    const down = this.sorted === null || this.sorted.index !== index ? Boolean(this.columns[index].number) : !this.sorted.down;
    this.sorted = { index, down };
    for (const [place, head] of [...this.table.tHead.rows[0].cells].entries()) {
      head.setAttribute("aria-sort", place === index ? (down ? "descending" : "ascending") : "none");
    }
    this.arrange();
  }

  search(text) {
    this.wanted = text.trim().toLowerCase();
    this.arrange();
  }

  filter(rows) {
    this.rows = rows;
    this.arrange();
  }

  choose(row) {
    this.chosen = row;
    this.draw();
  }

  arrange() {
    let rows = this.rows;
    if (this.wanted) {
      rows = rows.filter((row) => this.columns.some((column) => !column.number && String(column.value(row)).toLowerCase().includes(this.wanted)));
    }
    if (this.sorted) {
      const { index, down } = this.sorted;
      const key = this.columns[index].value;
      const keyed = rows.map((row) => [key(row), row]);
      // What is not known stands last, whichever way.
      keyed.sort(([one], [other]) => {
        const lacks = (one === null || one === undefined) - (other === null || other === undefined);
        if (lacks) return lacks;
        return (one < other ? -1 : one > other ? 1 : 0) * (down ? -1 : 1);
      });
      rows = keyed.map((pair) => pair[1]);
    }
    this.shown = rows;
    this.box.scrollTop = 0;
    this.draw();
  }

  print(on) {
    this.printing = on;
    this.draw();
  }

  draw() {
    const all = this.shown.length <= this.whole;
    const first = all || this.printing ? 0 : Math.max(Math.floor(this.box.scrollTop / this.height) - 8, 0);
    const count = all ? this.shown.length : this.printing ? this.whole : Math.ceil((this.box.clientHeight || 480) / this.height) + 16;
    const last = Math.min(first + count, this.shown.length);
    this.table.setAttribute("aria-rowcount", this.shown.length + 1);
    const rows = [];
    if (first) rows.push(this.gap(first));
    for (let index = first; index < last; index += 1) rows.push(this.row(this.shown[index], index));
    if (last < this.shown.length && !this.printing) rows.push(this.gap(this.shown.length - last));
    const held = document.activeElement && this.body.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    this.body.replaceChildren(...rows);
    if (held !== null) this.body.querySelector(`[data-at="${held}"]`)?.focus({ preventScroll: true });
  }

  gap(rows) {
    const cell = qtaml.element("td", { colspan: this.columns.length });
    cell.style.height = `${rows * this.height}px`;
    return qtaml.element("tr", { class: "gap", "aria-hidden": "true" }, cell);
  }

  row(row, index) {
    const made = qtaml.element("tr", { class: row === this.chosen ? "row chosen" : "row", "aria-rowindex": index + 2 });
    for (const column of this.columns) {
      const text = column.text ? column.text(row) : String(column.value(row) ?? "–");
      const cell = qtaml.element("td", { class: column.number ? "number" : null, title: text.length > 24 ? text : null });
      if (column.open) {
        const button = qtaml.element("button", { type: "button", "data-at": index }, qtaml.name(text));
        button.addEventListener("click", () => this.open(row));
        cell.append(button);
      } else cell.append(column.number ? text : qtaml.name(text));
      made.append(cell);
    }
    return made;
  }
};
