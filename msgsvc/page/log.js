// The log of a conversation: its messages in days, the place of its reader, and what was seen.
import {
  alert, announce, bdi, button, clock, count, dayAndMonth, dayKey, h, longDay, menu, shown, sync, waitFor,
} from './dom.js';

const FOLLOW_MILLISECONDS = 10 * 60_000;
const SEEN_MILLISECONDS = 300;

// Messages that stay are never built anew. `isOwn(message)` puts a message at the right. `ondelete(message)` is left out
// where an admin looks: no options, no receipts, and names instead of You.
export function createLog(isOwn, ondelete) {
  let messages = new Map();
  let parts = new Map();
  const top = h('div');
  const bottom = h('div');
  const node = h('div.log', { role: 'region', 'aria-label': 'Messages', tabindex: 0 }, top, bottom);

  function create(message) {
    const { sender, sent_at: at, subject, content } = message;
    const own = isOwn(message);
    const name = h('b', own && ondelete ? 'You' : bdi(sender));
    const receipt = own && ondelete ? h('p.receipt') : '';
    const item = h(own ? 'li.msg.own' : 'li.msg');
    const which = `${own ? 'you sent' : `from ${shown(sender)}`} on ${dayAndMonth(at)} at ${clock(at)}`;
    const dots = ondelete && button('', null, 'dots', { 'aria-label': `Options for the message ${which}` });
    item.append(h('div.meta', name, ' ', h('time', { datetime: at }, clock(at)), dots),
      subject ? h('p.subject', { dir: 'auto' }, subject) : '', h('p.text', { dir: 'auto' }, content), receipt);
    if (dots) menu(dots, button('Delete message', () => ondelete(message), 'bad'), item);
    dots?.addEventListener('click', () => item.lastChild.scrollIntoView({ block: 'nearest' }));
    return { item, name, receipt };
  }

  function draw(message, previous) {
    const { id, sender, sent_at: at, is_read: isRead, read_at: readAt } = message;
    const drawn = messages.get(id) ?? create(message);
    const { item, name, receipt } = drawn;
    const follows = previous?.sender === sender && dayKey(previous.sent_at) === dayKey(at) && Date.parse(at) - Date.parse(previous.sent_at) < FOLLOW_MILLISECONDS;
    item.classList.toggle('follow', follows);
    name.classList.toggle('unseen', follows);
    const said = isRead && readAt ? `Read ${dayAndMonth(readAt)}, ${clock(readAt)}` : 'Sent, not read yet';
    if (receipt && receipt.textContent !== said) receipt.textContent = said;
    return drawn;
  }

  // Shows these messages, oldest first; the line with unread.n stands before unread.id.
  function show(items, unread) {
    const [before, drawn] = [parts, new Map()];
    parts = new Map();
    const use = (key, make) => {
      if (!parts.has(key)) parts.set(key, { part: before.get(key)?.part ?? make(), nodes: [] });
      return parts.get(key).nodes;
    };
    let previous;
    for (const message of items) {
      const { id, sent_at: at } = message;
      const day = dayKey(at);
      use(day, () => h('h3', longDay(at)));
      if (id === unread?.id) {
        use('line', () => h('p.line', count(unread.n, 'new message')));
        previous = null;
      }
      drawn.set(id, draw(message, previous));
      use(day + (id >= unread?.id), () => h('ol', { role: 'list' })).push(drawn.get(id).item);
      previous = message;
    }
    messages = drawn;
    sync(node, [top, ...Array.from(parts.values(), ({ part }) => part), bottom]);
    for (const { part, nodes } of parts.values()) sync(part, nodes);
  }

  return { node, top, bottom, show, nodeOf: (id) => messages.get(id)?.item, line: () => parts.get('line')?.part };
}

// A button that loads more at one end of a log: says that it is loading, what came, and what went wrong.
export function loader(label, load) {
  const state = h('div');
  const what = label.slice('Load'.length);
  let busy = false;
  const run = async () => {
    if (busy) return;
    busy = true;
    try {
      announce(await waitFor(load(), state, `Loading${what}…`));
      state.replaceChildren();
    } catch {
      state.replaceChildren(alert('', `The${what} could not be loaded.`, button('Try again', run)));
    }
    busy = false;
  };
  return h('div.loader', button(label, run), state);
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
