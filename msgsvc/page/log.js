// The log of a conversation: days, messages, the line above the unread. Messages that stay are never built anew.
import { announce, bdi, button, h, newId, note, say, shown, sync } from './dom.js';
import { T } from './texts.js';
import { clock, dayAndMonth, dayKey, longDay } from './times.js';

const FOLLOW_MILLISECONDS = 10 * 60_000;

/**
 * `isOwn(message)` puts a message at the right, `nameOf(message)` names its sender; `ondelete(message)` and `receipts`
 * are for the person's own inbox and left out where an admin looks.
 */
export function createLog({ isOwn, nameOf, ondelete, receipts }) {
  const messages = new Map();
  const groups = new Map();
  const top = h('div', { class: 'top' });
  const bottom = h('div', { class: 'bottom' });
  const node = h('div', { class: 'log', role: 'region', 'aria-label': T.messages, tabindex: '0' }, top, bottom);
  let openRow = null;

  function closeRow(focus) {
    if (!openRow) return;
    const { row, dots } = openRow;
    openRow = null;
    row.remove();
    dots.setAttribute('aria-expanded', false);
    if (focus) dots.focus();
  }

  function dotsFor(message, item) {
    const when = `on ${dayAndMonth(message.sent_at)} at ${clock(message.sent_at)}`;
    const label = isOwn(message) ? `Options for the message you sent ${when}` : `Options for the message from ${shown(nameOf(message))} ${when}`;
    const dots = h('button', { type: 'button', class: 'dots', 'aria-expanded': 'false', 'aria-label': label, onclick: () => {
      const wasOpen = openRow?.dots === dots;
      closeRow();
      if (wasOpen) return;
      const row = h('div', { class: 'actions', id: newId() }, button(T.deleteMessage, () => { dots.focus(); closeRow(); ondelete(message); }, 'bad'));
      openRow = { row, dots };
      dots.setAttribute('aria-expanded', true);
      item.append(row);
      row.scrollIntoView({ block: 'nearest' });
    } });
    return dots;
  }

  function create(message) {
    const own = isOwn(message);
    const name = h('b', {}, own && receipts ? 'You' : bdi(nameOf(message)));
    const item = h('li', { class: own ? 'msg own' : 'msg' });
    const receipt = receipts && own && h('p', { class: 'receipt' });
    const meta = h('div', { class: 'meta' }, name, ' ', h('time', { datetime: message.sent_at }, clock(message.sent_at)), ondelete && dotsFor(message, item));
    item.append(...[meta, message.subject && h('p', { class: 'subject', dir: 'auto' }, message.subject),
      h('p', { class: 'text', dir: 'auto' }, message.content), receipt].filter(Boolean));
    return { node: item, name, receipt, time: Date.parse(message.sent_at) };
  }

  function entry(message, previous) {
    if (!messages.has(message.id)) messages.set(message.id, create(message));
    const made = messages.get(message.id);
    const before = previous && messages.get(previous.id);
    const follows = Boolean(before) && isOwn(previous) === isOwn(message) && dayKey(before.time) === dayKey(made.time)
      && made.time - before.time < FOLLOW_MILLISECONDS;
    made.node.classList.toggle('follow', follows);
    made.name.classList.toggle('unseen', follows);
    if (made.receipt) {
      const said = message.is_read && message.read_at ? `Read ${dayAndMonth(message.read_at)}, ${clock(message.read_at)}` : T.notRead;
      if (made.receipt.textContent !== said) made.receipt.textContent = said;
    }
    return made.node;
  }

  function group(key, make) {
    if (!groups.has(key)) groups.set(key, make());
    return groups.get(key);
  }

  /** Shows these messages, oldest first; the line stands before `unread.id`. */
  function show(items, unread) {
    const parts = [];
    const used = new Set();
    const lists = new Map();
    let previous = null;
    const use = (key, make) => { used.add(key); const part = group(key, make); parts.push(part); return part; };
    for (const message of items) {
      const day = dayKey(message.sent_at);
      const isLine = message.id === unread?.id;
      if (!previous || dayKey(previous.sent_at) !== day) use(`day ${day}`, () => h('h3', {}, longDay(message.sent_at)));
      if (isLine) use('line', () => h('p', { class: 'line' }, h('span', {}, unread.n === 1 ? '1 new message' : `${unread.n} new messages`)));
      const key = `list ${day} ${unread && message.id >= unread.id ? 'new' : ''}`;
      if (!lists.has(key)) lists.set(key, { list: use(key, () => h('ol', { role: 'list' })), nodes: [] });
      lists.get(key).nodes.push(entry(message, isLine ? null : previous));
      previous = message;
    }
    for (const key of groups.keys()) if (!used.has(key)) groups.delete(key);
    const present = new Set(items.map((message) => message.id));
    for (const id of messages.keys()) if (!present.has(id)) messages.delete(id);
    sync(node, [top, ...parts, bottom]);
    for (const { list, nodes } of lists.values()) sync(list, nodes);
  }

  node.addEventListener('keydown', (event) => { if (event.key === 'Escape' && openRow) closeRow(true); });
  return {
    node, top, bottom, show,
    nodeOf: (id) => messages.get(id)?.node,
    dotsOf: (id) => messages.get(id)?.node.querySelector('.dots'),
    line: () => groups.get('line'),
    clear: () => { closeRow(); show([]); },
  };
}

/** What scrolls: the log itself, or on small screens the document. */
export function scrollerOf(log) {
  return getComputedStyle(log).overflowY === 'auto' ? log : document.scrollingElement;
}

/** Does `change`, after which the first message in view stands where it stood. */
export function keepPlace(log, change) {
  const scroller = scrollerOf(log);
  const top = scroller === log ? log.getBoundingClientRect().top : 0;
  const first = [...log.querySelectorAll('.msg')].find((item) => item.getBoundingClientRect().bottom > top);
  const before = first?.getBoundingClientRect().top;
  change();
  if (first?.isConnected) scroller.scrollTop += first.getBoundingClientRect().top - before;
}

/** A button that loads more at one end of a log: says that it is loading, and what went wrong. */
export function loader(label, load, says) {
  const problem = h('div');
  const waiting = h('span', { class: 'hint' });
  let busy = false;
  const run = async () => {
    if (busy) return;
    busy = true;
    const timer = setTimeout(() => waiting.replaceChildren(T.loadingOlder), 400);
    try {
      const said = await load();
      problem.replaceChildren();
      if (said) announce(said);
    } catch {
      problem.replaceChildren(note('bad', '', T.olderFailed, { role: 'alert', buttons: [button(T.tryAgain, run)] }));
    }
    clearTimeout(timer);
    waiting.replaceChildren();
    busy = false;
  };
  return h('div', { class: 'loader' }, problem, button(label, run), waiting, says);
}

export const beginning = (partner) => h('p', { class: 'hint begins', tabindex: '-1' }, say(T.begins, { name: partner }));
