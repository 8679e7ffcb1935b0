// The open conversation: loading and its older parts, what was seen, options, and writing.
import { call, path } from './api.js';
import { composer, ruleNote } from './composer.js';
import * as drafts from './drafts.js';
import { announce, ask, bdi, button, count, h, menu, note, plain, say, shown, sorry, sync } from './dom.js';
import * as inbox from './inbox.js';
import { beginning, createLog, keepPlace, loader, scrollerOf } from './log.js';
import * as outbox from './outbox.js';
import { watchSeen } from './seen.js';
import { isPatient, me } from './session.js';
import { T } from './texts.js';
import { clock } from './times.js';

const PAGE = 50;
const LARGEST_PAGE = 200;
const MOST_SHOWN = 300;
const RETRY_MILLISECONDS = 15_000;

let open = null;

export const openPartner = () => open?.partner ?? null;

/** Opens the conversation with a partner: its pane, which loads by itself. */
export function openConversation(partner) {
  closeConversation();
  const log = createLog({
    isOwn: (message) => message.sender !== partner, nameOf: (message) => message.sender, ondelete: deleteMessage, receipts: true,
  });
  const heading = h('h2', { tabindex: '-1' }, bdi(partner));
  const below = button('', goToEnd, 'below', { hidden: true });
  const parts = { log, heading, below, options: h('div'), banner: h('div', { class: 'banner' }), writing: h('div', { class: 'writing' }) };
  const skip = h('a', { class: 'skip', href: location.hash, onclick: (event) => { event.preventDefault(); open.composer?.focus(); } }, T.skipToWriting);
  const node = h('section', { class: 'thread', 'aria-label': shown(partner) },
    h('div', { class: 'head' }, h('a', { class: 'back', href: '#/' }, T.back), heading, skip, parts.options),
    parts.banner, log.node, h('div', { class: 'float' }, below), parts.writing);
  open = {
    ...parts, partner, node, items: [], older: false, newer: false, newest: 0, line: null, loaded: false, newBelow: 0, code: undefined, composer: null,
    role: undefined, isBlocked: false, stuck: true, seen: null,
    older_: loader(T.older, loadOlder), newer_: loader(T.newer, loadNewer),
  };
  addEventListener('scroll', scrolled, true);
  showWriting(null);
  load();
  return node;
}

/** Leaves nothing of the conversation behind. */
export function closeConversation() {
  if (!open) return;
  removeEventListener('scroll', scrolled, true);
  open.seen?.stop();
  open.log.clear();
  open = null;
}

export const focusConversation = () => open.heading.focus({ preventScroll: true });

async function load() {
  const mine = open;
  const { partner, log } = mine;
  const unread = inbox.rowOf(partner)?.unread_count ?? 0;
  const limit = Math.min(Math.max(unread + 10, PAGE), LARGEST_PAGE);
  const waiting = setTimeout(() => mine.loaded || sync(log.top, [h('p', { class: 'hint' }, T.loadingMessages)]), 400);
  try {
    const [answer, { blocks }] = await Promise.all([
      call('GET', path`/conversation/${partner}?limit=` + limit),
      call('GET', '/blocks').catch(() => ({ blocks: [] })),
    ]);
    if (mine !== open) return;
    mine.loaded = true;
    mine.isBlocked = blocks.some(({ username }) => username === partner);
    take(answer);
    open.older = answer.has_more;
    placeLine(unread);
    render();
    goToLine();
  } catch (refusal) {
    if (mine === open) showFailed(refusal);
  } finally {
    clearTimeout(waiting);
  }
}

function showFailed({ status, code, retryAt }) {
  const { log, partner } = open;
  const back = button(T.backToList, () => { location.hash = '#/'; });
  if (status >= 400 && status < 500) {
    open.writing.replaceChildren();
    open.failed = true;
    const isNobody = code === 'user_not_found' || code === 'self_conversation';
    sync(log.top, [note('warn', isNobody && say(T.nobodyCalled, { name: partner }), isNobody ? T.checkName : T.serviceAwayText, { role: 'alert', buttons: [back] })]);
  } else {
    const at = retryAt ?? Date.now() + RETRY_MILLISECONDS;
    sync(log.top, [note('bad', T.messagesFailed, say(T.triesAgain, { time: clock(at) }), { role: 'status', buttons: [button(T.tryAgain, load)] })]);
  }
}

/** Merges an answer with the newest messages into those that are shown. Gives the partner's that are new. */
function take(answer) {
  const known = new Set(open.items.map(({ id }) => id));
  const { messages } = answer;
  const overlaps = messages.some(({ id }) => known.has(id)) || !answer.has_more;
  const oldest = messages[0]?.id ?? Infinity;
  open.items = [...(overlaps ? open.items.filter(({ id }) => id < oldest) : []), ...messages];
  if (!overlaps) open.older = true;
  if (!messages.length) open.items = [];
  const fresh = messages.filter(({ id, sender }) => id > open.newest && sender === open.partner);
  open.newest = Math.max(open.newest, ...messages.map(({ id }) => id));
  if ('with_role' in answer) open.role = answer.with_role;
  showOptions();
  showWriting(answer.can_reply ? null : answer.reply_refusal ?? 'not_allowed');
  return fresh;
}

function placeLine(unread) {
  const fresh = open.items.filter(({ sender, is_read: isRead }) => sender === open.partner && !isRead);
  if (fresh.length) open.line = { id: fresh[0].id, n: Math.max(fresh.length, unread) };
}

function render() {
  const { items, log, older, newer, partner } = open;
  if (open.line && !items.some(({ id }) => id >= open.line.id)) open.line = null;
  const empty = h('p', { class: 'hint begins', tabindex: '-1' }, say(T.empty, { name: partner }));
  if (older) sync(log.top, [open.older_]);
  else if (!items.length) sync(log.top, [empty]);
  else if (!log.top.querySelector('.begins')) sync(log.top, [beginning(partner)]);
  sync(log.bottom, newer ? [open.newer_] : []);
  log.show(items, open.line);
  if (!open.seen) {
    const covers = scrollerOf(log.node) !== log.node && getComputedStyle(open.writing).position === 'sticky';
    open.seen = watchSeen(markRead, () => (covers ? open.writing.offsetHeight : 0));
  }
  for (const { id, sender, is_read: isRead } of items) if (sender === partner && !isRead) open.seen.watch(log.nodeOf(id), id);
}

async function loadOlder() {
  const mine = open;
  const answer = await call('GET', path`/conversation/${mine.partner}?limit=${PAGE}&before=${mine.items[0].id}`);
  if (mine !== open) return '';
  const had = document.activeElement?.closest('.loader');
  keepPlace(open.log.node, () => {
    open.items = [...answer.messages, ...open.items];
    open.older = answer.has_more;
    if (open.items.length > MOST_SHOWN) {
      open.items.length = MOST_SHOWN;
      open.newer = true;
    }
    render();
  });
  if (!open.older) {
    if (had) open.log.top.querySelector('.begins').focus({ preventScroll: true });
    return plain(T.begins, { name: open.partner });
  }
  return count(answer.messages.length, 'older message', 'older messages');
}

async function loadNewer() {
  const mine = open;
  const answer = await call('GET', path`/conversation/${mine.partner}?limit=${PAGE}&after=${mine.items.at(-1).id}`);
  if (mine !== open) return '';
  keepPlace(open.log.node, () => {
    open.items = [...open.items, ...answer.messages];
    open.newer = answer.has_more;
    if (open.items.length > MOST_SHOWN) {
      open.items = open.items.slice(-MOST_SHOWN);
      open.older = true;
    }
    render();
  });
  return count(answer.messages.length, 'newer message', 'newer messages');
}

/** Asks for what is new. `changed` says that the inbox knows of something; else only read receipts are waited for. */
export async function refresh(changed) {
  const mine = open;
  if (!mine || mine.failed) return;
  if (!mine.loaded) return load();
  const awaitsReceipt = mine.items.some(({ sender, is_read: isRead }) => sender === me.username && !isRead);
  if (mine.newer || !(changed || awaitsReceipt)) return;
  const answer = await call('GET', path`/conversation/${mine.partner}?limit=${PAGE}`, { background: true });
  if (mine === open) show(answer);
}

function show(answer) {
  const wasAtEnd = isAtEnd();
  const fresh = take(answer);
  if (wasAtEnd) render();
  else keepPlace(open.log.node, render);
  if (wasAtEnd) goToEnd();
  else countBelow(fresh.length);
  if (fresh.length === 1) announce(`New message from ${shown(open.partner)}: ${[...fresh[0].content].slice(0, 200).join('')}`);
  else if (fresh.length) announce(`${fresh.length} new messages`);
}

outbox.events.addEventListener('sent', ({ detail: { partner, message } }) => {
  if (partner !== open?.partner || open.newer) return;
  open.items = [...open.items.filter(({ id }) => id !== message.id), { ...message, sender: me.username, recipient: partner }];
  open.items.sort((a, b) => a.id - b.id);
  render();
  goToEnd();
  announce('Sent');
  refresh(true).catch(() => {});
});

// Where the reader is.

function isAtEnd() {
  const scroller = scrollerOf(open.log.node);
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
}

function goToEnd() {
  if (open.newer) return openAgain();
  const scroller = scrollerOf(open.log.node);
  scroller.scrollTop = scroller.scrollHeight;
  countBelow(-open.newBelow);
}

function openAgain() {
  Object.assign(open, { newer: false, items: [] });
  load();
}

function goToLine() {
  const line = open.log.line();
  if (!line) return goToEnd();
  const scroller = scrollerOf(open.log.node);
  const top = scroller === document.scrollingElement ? 0 : scroller.getBoundingClientRect().top;
  scroller.scrollTop += line.getBoundingClientRect().top - top - scroller.clientHeight / 3;
}

function scrolled() {
  if (open.newBelow && isAtEnd()) countBelow(-open.newBelow);
}

function countBelow(more) {
  open.newBelow += more;
  open.below.hidden = !open.newBelow;
  open.below.replaceChildren(`${count(open.newBelow, 'new message', 'new messages')} below`);
}

async function markRead(ids) {
  const mine = open;
  for (const id of ids) {
    try {
      await call('PATCH', `/${id}/read`, { background: true });
    } catch (refusal) {
      if (refusal.status === 404 || mine !== open) continue;
      const node = mine.log.nodeOf(id);
      if (node) setTimeout(() => mine === open && mine.seen.watch(node, id), RETRY_MILLISECONDS);
      continue;
    }
    inbox.lower(mine.partner, 1);
    const message = mine.items.find((item) => item.id === id);
    if (message) message.is_read = true;
  }
}

// Writing and options.

function showWriting(code) {
  if (code === open.code) return;
  open.code = code;
  const { partner } = open;
  if (code && outbox.state(partner).phase === 'refused') outbox.edit(partner);
  const rule = code && ruleNote(code, partner);
  const keepsText = !rule || drafts.read(partner).content;
  open.composer = keepsText ? composer(partner, { newest: () => open.newest, look: isThere }) : null;
  open.writing.replaceChildren(...[rule, open.composer?.node].filter(Boolean));
}

/** Loads what is newer; says whether the draft is among it. */
async function isThere(draft) {
  await refresh(true);
  return open.items.some(({ id, sender, content }) => sender === me.username && id > draft.after && content === draft.content);
}

function showOptions() {
  const { partner, role, isBlocked, items } = open;
  const maySee = items.length > 0;
  const mayBlock = role !== null && !(isPatient() && role && role !== 'user');
  const shape = `${maySee} ${mayBlock} ${isBlocked}`;
  if (open.options.dataset.shape === shape) return;
  open.options.dataset.shape = shape;
  const hadFocus = open.options.contains(document.activeElement);
  const opener = h('button', { type: 'button', class: 'options', 'aria-label': T.options }, 'Options');
  const blocking = isBlocked ? button(T.unblock, unblock) : button(T.block, block);
  open.options.replaceChildren(...(maySee ? [menu(opener, mayBlock && blocking, button(T.deleteConversation, deleteConversation, mayBlock ? 'bad rule' : 'bad'))] : []));
  open.banner.replaceChildren(...(isBlocked ? [note('warn', '', say(T.blocked, { name: partner }), { buttons: [button(T.unblock, unblock)] })] : []));
  if (hadFocus) opener.focus();
}

function setBlocked(isBlocked) {
  open.isBlocked = isBlocked;
  showOptions();
  open.options.querySelector('button')?.focus();
  announce(`${shown(open.partner)} is ${isBlocked ? 'blocked' : 'no longer blocked'}`);
}

async function block() {
  const { partner } = open;
  const name = { name: partner };
  if (!await ask(say(T.blockAsk, name), [say(T.blockText, name), say(T.blockStays, name)], T.block, T.doNotBlock)) return;
  try {
    await call('PUT', path`/blocks/${partner}`);
  } catch ({ code }) {
    if (code !== 'staff_not_blockable') return sorry();
    return open.banner.replaceChildren(note('warn', '', T.staffNotBlocked, { role: 'alert' }));
  }
  if (open?.partner === partner) setBlocked(true);
}

async function unblock() {
  const { partner } = open;
  try {
    await call('DELETE', path`/blocks/${partner}`);
  } catch {
    return sorry();
  }
  if (open?.partner === partner) setBlocked(false);
}

addEventListener('unblocked', ({ detail }) => {
  if (open?.partner !== detail) return;
  open.isBlocked = false;
  showOptions();
});

async function deleteMessage(message) {
  const mine = open;
  const text = say(T.deleteMessageText, { name: mine.partner });
  if (!await ask(T.deleteMessageAsk, [text], T.deleteMessage, T.keep)) return;
  try {
    await call('DELETE', `/${message.id}`);
  } catch ({ status }) {
    if (status !== 404) return sorry();
  }
  if (mine !== open) return;
  const at = open.items.findIndex(({ id }) => id === message.id);
  const neighbour = open.items[at + 1] ?? open.items[at - 1];
  keepPlace(open.log.node, () => {
    if (open.line?.id === message.id) open.line = neighbour?.id > message.id ? { ...open.line, id: neighbour.id } : null;
    open.items.splice(at, 1);
    showOptions();
    render();
  });
  (neighbour ? open.log.dotsOf(neighbour.id) : open.log.node).focus();
  announce('Message deleted');
  dispatchEvent(new Event('pollnow'));
}

async function deleteConversation() {
  const { partner, newest } = open;
  const name = { name: partner };
  if (!await ask(T.deleteConversationAsk, [say(T.deleteConversationText, name)], T.deleteConversation, T.keep)) return;
  try {
    await call('DELETE', path`/conversation/${partner}?up_to=${newest}`);
  } catch {
    return sorry();
  }
  inbox.drop(partner);
  dispatchEvent(new CustomEvent('deleted', { detail: partner }));
}
