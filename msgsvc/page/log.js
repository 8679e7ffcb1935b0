// The log of a conversation: days, messages, the line above the unread, and which messages were seen. Messages that
// stay are never built anew.
import { alert, announce, bdi, button, clock, dayAndMonth, dayKey, h, longDay, shown, sync, waitFor } from './dom.js';

const FOLLOW_MILLISECONDS = 10 * 60_000;
const SEEN_MILLISECONDS = 300;

// `isOwn(message)` puts a message at the right. `ondelete(message)` is left out where an admin looks: no options, no
// receipts, and names instead of You.
export function createLog(isOwn, ondelete) {
  const messages = new Map();
  const groups = new Map();
  const top = h('div');
  const bottom = h('div');
  const node = h('div.log', { role: 'region', 'aria-label': 'Messages', tabindex: 0 }, top, bottom);
  let openRow = null;

  function closeRow() {
    openRow?.row.remove();
    if (openRow) openRow.dots.ariaExpanded = false;
    openRow = null;
  }

  function dotsFor(message, item) {
    const who = isOwn(message) ? 'you sent' : `from ${shown(message.sender)}`;
    const dots = button('', () => {
      const wasOpen = openRow?.dots === dots;
      closeRow();
      if (wasOpen) return;
      const row = h('p', button('Delete message', () => { dots.focus(); closeRow(); ondelete(message); }, 'bad'));
      openRow = { row, dots };
      dots.ariaExpanded = true;
      item.append(row);
      row.scrollIntoView({ block: 'nearest' });
    }, 'dots', { 'aria-expanded': 'false', 'aria-label': `Options for the message ${who} on ${dayAndMonth(message.sent_at)} at ${clock(message.sent_at)}` });
    return dots;
  }

  function create(message) {
    const { sender, sent_at: at, subject, content } = message;
    const own = isOwn(message);
    const name = h('b', own && ondelete ? 'You' : bdi(sender));
    const receipt = own && ondelete ? h('p.receipt') : '';
    const item = h(own ? 'li.msg.own' : 'li.msg');
    item.append(h('div.meta', name, ' ', h('time', { datetime: at }, clock(at)), ondelete && dotsFor(message, item)),
      subject ? h('p.subject', { dir: 'auto' }, subject) : '', h('p.text', { dir: 'auto' }, content), receipt);
    return { item, name, receipt };
  }

  function draw(message, previous) {
    const { id, sender, sent_at: at, is_read: isRead, read_at: readAt } = message;
    if (!messages.has(id)) messages.set(id, create(message));
    const { item, name, receipt } = messages.get(id);
    const follows = previous?.sender === sender && dayKey(previous.sent_at) === dayKey(at) && Date.parse(at) - Date.parse(previous.sent_at) < FOLLOW_MILLISECONDS;
    item.classList.toggle('follow', follows);
    name.classList.toggle('unseen', follows);
    const said = isRead && readAt ? `Read ${dayAndMonth(readAt)}, ${clock(readAt)}` : 'Sent, not read yet';
    if (receipt && receipt.textContent !== said) receipt.textContent = said;
    return item;
  }

  // Shows these messages, oldest first; the line with unread.n stands before unread.id.
  function show(items, unread) {
    const lists = new Map();
    const parts = new Map();
    const use = (key, make) => {
      if (!groups.has(key)) groups.set(key, make());
      parts.set(key, groups.get(key));
    };
    let previous;
    for (const message of items) {
      const day = dayKey(message.sent_at);
      const isNew = message.id >= unread?.id;
      use(day, () => h('h3', longDay(message.sent_at)));
      if (message.id === unread?.id) {
        use('line', () => h('p.line', h('span', unread.n === 1 ? '1 new message' : `${unread.n} new messages`)));
        previous = null;
      }
      use(day + isNew, () => h('ol', { role: 'list' }));
      const list = parts.get(day + isNew);
      if (!lists.has(list)) lists.set(list, []);
      lists.get(list).push(draw(message, previous));
      previous = message;
    }
    for (const key of groups.keys()) if (!parts.has(key)) groups.delete(key);
    const present = new Set(items.map(({ id }) => id));
    for (const id of messages.keys()) if (!present.has(id)) messages.delete(id);
    sync(node, [top, ...parts.values(), bottom]);
    for (const [list, nodes] of lists) sync(list, nodes);
  }

  node.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape' || !openRow) return;
    openRow.dots.focus();
    closeRow();
  });
  return { node, top, bottom, show, nodeOf: (id) => messages.get(id)?.item, line: () => groups.get('line') };
}

// What scrolls: the log itself, or on small screens the document.
export const scrollerOf = (log) => (getComputedStyle(log).overflowY === 'auto' ? log : document.scrollingElement);

// Does `change`, after which the first message in view stands where it stood.
export function keepPlace(log, change) {
  const first = [...log.querySelectorAll('.msg')].find((item) => item.getBoundingClientRect().bottom > Math.max(0, log.getBoundingClientRect().top));
  const before = first?.getBoundingClientRect().top;
  change();
  if (first?.isConnected) scrollerOf(log).scrollTop += first.getBoundingClientRect().top - before;
}

// A button that loads more at one end of a log: says that it is loading, what came, and what went wrong.
export function loader(label, load) {
  const state = h('div');
  let busy = false;
  const run = async () => {
    if (busy) return;
    busy = true;
    try {
      announce(await waitFor(load(), state, 'Loading older messages…'));
      state.replaceChildren();
    } catch {
      state.replaceChildren(alert('', 'The older messages could not be loaded.', button('Try again', run)));
    }
    busy = false;
  };
  return h('div.loader', button(label, run), state);
}

// Read means seen: `onseen(id)` for each watched message that was in view, in a window that has the focus, with nothing
// above it. `covered` pixels at the bottom of the window do not show messages.
export function watchSeen(onseen, covered) {
  const ids = new Map();
  const inView = new Set();
  let timer = 0;
  const observer = new IntersectionObserver((entries) => {
    for (const { target, intersectionRatio: ratio, intersectionRect: { height } } of entries) {
      if (ratio >= 0.6 || height > innerHeight / 3) inView.add(target);
      else inView.delete(target);
    }
    lookSoon();
  }, { threshold: [0, 0.2, 0.4, 0.6, 0.8, 1], rootMargin: `0px 0px -${covered}px` });

  // A message longer than the window crosses no threshold while it is scrolled.
  function measureSoon() {
    clearTimeout(timer);
    timer = setTimeout(() => { for (const node of ids.keys()) { observer.unobserve(node); observer.observe(node); } }, SEEN_MILLISECONDS);
  }

  function lookSoon() {
    clearTimeout(timer);
    timer = setTimeout(look, SEEN_MILLISECONDS);
  }

  function look() {
    if (document.hidden || !document.hasFocus() || document.querySelector('dialog')) return;
    for (const node of inView) {
      observer.unobserve(node);
      onseen(ids.get(node));
      ids.delete(node);
    }
    inView.clear();
  }

  const signs = [[window, 'focus', lookSoon], [document, 'visibilitychange', lookSoon], [document, 'close', lookSoon], [document, 'scroll', measureSoon]];
  for (const [target, sign, listener] of signs) target.addEventListener(sign, listener, true);
  return {
    watch(node, id) {
      if (!ids.has(node)) observer.observe(node);
      ids.set(node, id);
    },
    stop() {
      clearTimeout(timer);
      observer.disconnect();
      for (const [target, sign, listener] of signs) target.removeEventListener(sign, listener, true);
    },
  };
}
