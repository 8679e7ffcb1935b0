// Builds elements from text nodes only, and the small parts that every pane uses: notes, fields, menus, dialogs.
import { T } from './texts.js';

export const byId = (id) => document.getElementById(id);

let lastId = 0;
export const newId = () => `i${(lastId += 1)}`;

/** An element. An attribute `onclick` is a listener; true is an empty attribute; false, null and undefined are left out. */
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false && child !== ''));
  return node;
}

/** Control and direction characters in a name become marks, so that they cannot turn the words around them. */
export function shown(name) {
  return name.replace(/[\p{C}\u2028\u2029]/gu, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`);
}

export const bdi = (name) => h('bdi', {}, shown(name));
export const unseen = (text) => h('span', { class: 'unseen' }, text);

/** The nodes of a sentence in which {name} stands for a value and **…** is strong. Names are isolated. */
export function say(sentence, values = {}) {
  return sentence.split(/(\{\w+\}|\*\*.+?\*\*)/).map((part) => {
    if (part.startsWith('**')) return h('strong', {}, part.slice(2, -2));
    if (!part.startsWith('{')) return part;
    const value = values[part.slice(1, -1)];
    return typeof value === 'string' && part !== '{time}' ? bdi(value) : String(value);
  });
}

/** The same as a string, for attributes and the live region. */
export function plain(sentence, values = {}) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => shown(String(values[name])));
}

export const count = (n, one, many) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;

/** Makes the children of parent these nodes. Nodes that stay are not moved, and the focus stays where it was. */
export function sync(parent, nodes) {
  const focused = document.activeElement;
  const kept = new Set(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

export function button(text, onclick, kind = '', attributes = {}) {
  return h('button', { type: 'button', class: kind, onclick, ...attributes }, text);
}

/** kind: '', warn or bad. An alert answers something the person did; a status is for waiting. */
export function note(kind, title, body, { role, buttons } = {}) {
  return h('div', { class: `note ${kind}`, role, tabindex: role === 'alert' && '-1' },
    title && h('p', {}, h('strong', {}, title)), body && h('p', {}, body),
    buttons && h('p', { class: 'buttons' }, buttons));
}

/** A label, its field, and a hint that describes it. */
export function field(label, input, hint) {
  input.id ||= newId();
  const described = hint && h('p', { class: 'hint', id: newId() }, hint);
  if (described) input.setAttribute('aria-describedby', described.id);
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), described, input);
}

/** Password fields and the checkbox that shows what is typed in them. */
export function passwordFields(...fields) {
  const inputs = fields.map(([, input]) => input);
  const box = h('input', { type: 'checkbox', id: newId(), onchange: () => inputs.forEach((input) => { input.type = box.checked ? 'text' : 'password'; }) });
  return [...fields.map(([label, input, hint]) => field(label, input, hint)), h('div', { class: 'check' }, box, h('label', { for: box.id }, T.showTyped))];
}

export function announce(text) {
  byId('live').replaceChildren(text);
}

/** Shows a banner across the page in the place of the one of the same name; without a node it goes. */
export function banner(name, node) {
  document.querySelector(`#banners > [data-name=${name}]`)?.remove();
  if (node) byId('banners').append(h('div', { 'data-name': name }, node));
}

const title = { unread: 0, soon: false };
/** The title of the document says how many are unread, or that the session ends; never a name or a text. */
export function retitle(change) {
  Object.assign(title, change);
  const unread = title.unread ? `(${title.unread}) ${T.title}` : T.title;
  document.title = title.soon ? T.loggingOutSoon : unread;
}

let openMenu = null;
document.addEventListener('pointerdown', (event) => {
  if (openMenu && !openMenu.node.contains(event.target)) openMenu.close();
});

/** A button and the panel of plain buttons that it opens. A choice closes the panel before anything else happens. */
export function menu(opener, ...items) {
  const panel = h('div', { class: 'panel', id: newId(), hidden: true }, items);
  const set = (open) => {
    panel.hidden = !open;
    opener.setAttribute('aria-expanded', open);
    openMenu = open ? { node, close: () => set(false) } : null;
  };
  const node = h('div', { class: 'menu' }, opener, panel);
  opener.setAttribute('aria-controls', panel.id);
  opener.setAttribute('aria-expanded', false);
  opener.addEventListener('click', () => { const open = panel.hidden; openMenu?.close(); set(open); });
  panel.addEventListener('click', (event) => {
    if (!event.target.closest('button')) return;
    opener.focus();
    set(false);
  }, true);
  node.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || panel.hidden) return;
    opener.focus();
    set(false);
  });
  node.addEventListener('focusout', (event) => {
    if (event.relatedTarget && !node.contains(event.relatedTarget)) set(false);
  });
  return node;
}

/** Opens a dialog, which is gone once it is closed. */
export function dialog(title, body, buttons, attributes = {}) {
  const text = h('div', { id: newId() }, body);
  const heading = h('h2', { id: newId() }, title);
  const box = h('dialog', { 'aria-labelledby': heading.id, 'aria-describedby': text.id, ...attributes },
    heading, text, buttons && h('p', { class: 'buttons' }, buttons));
  box.addEventListener('close', () => box.remove());
  document.body.append(box);
  box.showModal();
  box.scrollTop = 0;
  return box;
}

/** A question. Resolves to true for the button that acts; Esc and the safe button, which has the focus, are false. */
export function ask(title, paragraphs, act, safe, kind = 'danger') {
  return new Promise((resolve) => {
    let answer = false;
    const close = (value) => { answer = value; box.close(); };
    const box = dialog(title, paragraphs.map((nodes) => h('p', {}, nodes)),
      [button(act, () => close(true), kind), button(safe, () => close(false), '', { autofocus: true })]);
    box.addEventListener('close', () => resolve(answer));
  });
}

/** A form in a dialog: `submit` sends it and throws what went wrong, `explain` puts that into words. */
export function formDialog(title, fields, label, submit, explain) {
  const problem = h('div');
  const box = dialog(title, h('form', { novalidate: true, onsubmit: onsubmit }, problem, fields,
    h('p', { class: 'buttons' }, h('button', { class: 'primary' }, label), button(T.cancel, () => box.close()))));
  box.removeAttribute('aria-describedby');
  let busy = false;
  async function onsubmit(event) {
    event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      await submit();
      box.close();
    } catch (error) {
      const alert = explain(error);
      problem.replaceChildren(alert);
      alert.focus();
    }
    busy = false;
  }
  return box;
}

/** Says that something could not be done, where there is no better place for it. */
export function sorry() {
  const box = dialog(T.serviceAway, h('p', {}, T.serviceAwayText), [button(T.close, () => box.close(), '', { autofocus: true })]);
}
