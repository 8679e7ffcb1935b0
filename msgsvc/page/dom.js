// What every pane is made of: elements, built from text nodes only; names and times in words; notes, fields, menus, and
// dialogs.

export const byId = (id) => document.getElementById(id);
const main = byId('main');
export const find = (selector, within = main) => within.querySelector(selector);

let lastId = 0;
export const newId = () => `i${(lastId += 1)}`;

// h('p.hint', {…}, …): attributes may be left out; `onclick` is a listener, true an empty attribute, false and null none.
export function h(tag, ...children) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(' ');
  if (children[0]?.constructor === Object) {
    for (const [key, value] of Object.entries(children.shift())) {
      if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(key, value === true ? '' : value);
    }
  }
  node.append(...children.flat(3).filter((child) => child || child === 0));
  return node;
}

// Forms are sent by their listeners alone.
addEventListener('submit', (event) => event.preventDefault());

// Roles, names, numbers and times in words. Times are absolute, local, 24 hours.

export const ROLES = { user: 'Patient', therapist: 'Therapist', clinician: 'Clinician', admin: 'Administrator' };
export const isRole = (role) => Object.hasOwn(ROLES, role);
export const roleName = (role) => (isRole(role) ? ROLES[role] : '');

// Control and direction characters in a name become marks, so that they cannot turn the words around them.
export const shown = (name) => name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, 0)}]`);

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;

const date = (time) => new Date(time);
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const month = (time) => MONTHS[date(time).getMonth()];
const weekday = (time) => ['Sun', 'Mon', 'Tues', 'Wednes', 'Thurs', 'Fri', 'Satur'][date(time).getDay()] + 'day';
const timeOfDay = (time, length) => date(time).toTimeString().slice(0, length);
export const clock = (time) => timeOfDay(time, 5);
export const dayKey = (time) => date(time).toDateString();
export const dayAndMonth = (time) => `${date(time).getDate()} ${month(time)}`;
export const longDay = (time) => `${weekday(time)} ${dayAndMonth(time)} ${date(time).getFullYear()}`;
const shortDay = (time) => `${date(time).getDate()} ${month(time).slice(0, 3)}`;
export const fullDate = (time) => `${shortDay(time)} ${date(time).getFullYear()}`;
export const stamp = (time) => `${fullDate(time)}, ${timeOfDay(time, 8)}`;

// 08:02 today, else 4 Feb, else 12 Dec 2025.
export function listTime(time) {
  if (dayKey(time) === dayKey(Date.now())) return clock(time);
  return date(time).getFullYear() === new Date().getFullYear() ? shortDay(time) : fullDate(time);
}

// Notes, fields, menus and dialogs.

export const bdi = (name) => h('bdi', shown(name));
export const unseen = (text) => h('span.unseen', text);

// The nodes of a sentence: texts of people in it are isolated.
export const say = (strings, ...values) => strings.flatMap((text, i) => [text, typeof values[i] === 'string' ? bdi(values[i]) : values[i] ?? '']);

// Makes the children of parent these nodes. Nodes that stay are not moved, and the focus stays where it was.
export function sync(parent, nodes) {
  const focused = document.activeElement;
  for (const child of [...parent.children]) if (!nodes.includes(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

export const button = (text, onclick, kind = '', attributes = {}) => h('button', { type: 'button', class: kind, onclick, ...attributes }, text);

// One of many: its name goes on with `rest`, for those who do not see what it stands beside.
export const rowButton = (text, rest, onclick) => button([text, unseen(` ${rest}`)], onclick);

// role: alert for what answers an action of the person, status for waiting.
export const note = (kind, title, body, role, ...buttons) => h('div', { class: `note ${kind}`, role, tabindex: role === 'alert' && -1 },
  title && h('p', h('strong', title)), body && h('p', body), buttons.length > 0 && h('p.buttons', buttons));

export const alert = (title, body, ...buttons) => note('bad', title, body, 'alert', ...buttons);
const AWAY = ['The service does not answer', 'This is not your fault, and nothing is lost. Please try again in a minute.'];
export const serviceAway = (...buttons) => alert(...AWAY, ...buttons);

// The note for what could not be loaded; the polling tries again at that time, else soon.
export const loadFailed = (title, at, again) => note('bad', title, `The service did not answer. Nothing is lost. This page tries again at ${clock(at || Date.now() + 15_000)}.`, 'status', button('Try again', again));

// A label, its field, and a hint that describes it.
export function field(label, input, hint) {
  input.id = newId();
  const described = hint && h('p.hint', { id: newId() }, hint);
  if (hint) input.setAttribute('aria-describedby', described.id);
  return h('div.field', h('label', { for: input.id }, label), described, input);
}

export const nameInput = (attributes) => h('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', ...attributes });
export const passwordInput = (kind) => h('input', { type: 'password', autocomplete: `${kind}-password` });

export function checkbox(label, onchange, checked) {
  const box = h('input', { type: 'checkbox', id: newId(), checked, onchange });
  return { box, node: h('div.check', box, h('label', { for: box.id }, label)) };
}

export const showTyped = (...inputs) => checkbox('Show what I type', ({ target }) => inputs.forEach((input) => { input.type = target.checked ? 'text' : 'password'; })).node;

export const announce = (text) => byId('live').replaceChildren(text);

// A banner across the page in the place of the one of the same name; without a node it goes.
export function banner(name, node) {
  find(`.${name}`, byId('banners'))?.remove();
  if (node) byId('banners').append(h(`div.${name}`, node));
}

const title = { unread: 0, soon: false };
// The title says how many are unread, or that the session ends; never a name or a text.
export function retitle(change) {
  Object.assign(title, change);
  const unread = title.unread ? `(${title.unread}) ` : '';
  document.title = `${title.soon ? 'Logging out soon · ' : unread}Messages`;
}

// The focus goes to the title of its pane when what had it leaves the document or is hidden, and nothing else takes it.
let focused;
let pane;
addEventListener('focusin', ({ target }) => { [focused, pane] = [target, target.closest('section, dialog')]; });
new MutationObserver(() => {
  if (!focused || (focused.isConnected && !focused.closest('[hidden]'))) return;
  if ([document.body, focused].includes(document.activeElement)) find('[tabindex="-1"]', pane?.isConnected ? pane : main)?.focus({ preventScroll: true });
  focused = null;
}).observe(document.body, { subtree: true, childList: true, attributeFilter: ['hidden'] });

let openMenu = null;
addEventListener('pointerdown', ({ target }) => { if (openMenu && !openMenu.node.contains(target)) openMenu.set(false); });

// A button and the panel of plain buttons that it opens, in `node`. A choice closes the panel before anything else happens.
export function menu(opener, items, node = h('div.menu', opener)) {
  const panel = h('div.panel', { id: newId(), hidden: true }, items);
  node.append(panel);
  const set = (open) => {
    panel.hidden = !open;
    opener.ariaExpanded = open;
    openMenu = open ? { node, set } : null;
  };
  const close = () => { opener.focus(); set(false); };
  opener.setAttribute('aria-controls', panel.id);
  opener.addEventListener('click', () => { const open = panel.hidden; openMenu?.set(false); set(open); });
  panel.addEventListener('click', ({ target }) => target.closest('button') && close(), true);
  node.addEventListener('keydown', ({ key }) => key === 'Escape' && !panel.hidden && close());
  node.addEventListener('focusout', ({ relatedTarget: to }) => !panel.hidden && to && !node.contains(to) && set(false));
  opener.ariaExpanded = false;
  return node;
}

// Opens a dialog, which is gone once it is closed.
export function dialog(heading, body, ...buttons) {
  const [label, text] = [newId(), newId()];
  const box = h('dialog', { 'aria-labelledby': label, 'aria-describedby': buttons.length > 0 && text }, h('h2', { id: label }, heading),
    h('div', { id: text }, body), buttons.length > 0 && h('p.buttons', buttons));
  box.addEventListener('close', () => box.remove());
  document.body.append(box);
  box.showModal();
  box.scrollTop = 0;
  return box;
}

export const safe = { autofocus: true };

// Where a click leads; and a link past what stands before `target`, seen on focus.
export const goTo = (hash) => () => { location.hash = hash; };
export const skipLink = (text, target) => h('a.skip', { href: '#/', onclick: (event) => { event.preventDefault(); find(target)?.focus(); } }, text);

// The pane of a conversation or of a new message.
export const thread = (name, heading, headParts, ...parts) => h('section.thread', { 'aria-label': name },
  h('div.head', h('a.back', { href: '#/' }, 'Back'), h('h2', { tabindex: -1 }, heading), headParts), parts);

// Says that something is being loaded, if `loading` takes longer than that.
export async function waitFor(loading, node, text) {
  const timer = setTimeout(() => node.replaceChildren(h('p.hint', text)), 400);
  try {
    return await loading;
  } finally {
    clearTimeout(timer);
  }
}

// A question: true for the button that acts, false for Esc and the safe button, which has the focus.
export const ask = (heading, paragraphs, act, keep) => new Promise((resolve) => {
  const box = dialog(heading, paragraphs.map((text) => h('p', text)),
    button(act, () => { resolve(true); box.close(); }, 'danger'), button(keep, () => box.close(), '', safe));
  box.addEventListener('close', () => resolve(false));
});

export function tell(heading, body) {
  const box = dialog(heading, body, button('Close', () => box.close(), '', safe));
  return box;
}

// Says that something could not be done, where there is no better place for it.
export const sorry = () => tell(AWAY[0], h('p', AWAY[1]));

// A form with a place for what went wrong. `submit` gives the note that says it; while it runs, another click does nothing.
export function form(fields, label, submit, ...others) {
  const problem = h('div.problem');
  let busy = false;
  return h('form', { novalidate: true, onsubmit: async () => {
    if (busy) return;
    busy = true;
    const refused = await submit();
    busy = false;
    problem.replaceChildren(refused ?? '');
    refused?.focus();
  } }, problem, fields, h('p.buttons', h('button.primary', label), others));
}

// The same in a dialog, which a submit without a refusal closes.
export function formDialog(heading, fields, label, submit) {
  const box = dialog(heading, form(fields, label, async () => {
    const refused = await submit();
    if (!refused) box.close();
    return refused;
  }, button('Cancel', () => box.close())));
}
