// The open conversation: loading and its older parts, options, and writing.
import { call, emit, path, readDraft, sending, stopSending } from './service.js';
import { composer, ruleNote } from './composer.js';
import {
  announce, ask, bdi, button, count, find, goTo, h, loadFailed, menu, note, say, shown, skipLink, sorry, sync, thread,
  waitFor,
} from './dom.js';
import { createLog, keepPlace, loader, scrollerOf, watchSeen } from './log.js';
import { isPatient, me, setBlocked } from './session.js';

const PAGE = 50;
const LARGEST_PAGE = 200;
const MOST_SHOWN = 300;
const RETRY_MILLISECONDS = 15_000;

let open = null;

export const openPartner = () => open?.partner;

// The pane of the conversation with a partner, of which `unread` messages are unread. It loads by itself.
export function openConversation(partner, unread) {
  const log = createLog(({ sender }) => sender !== partner, deleteMessage);
  const below = button('', goToEnd, 'below', { hidden: true });
  const writing = h('div.writing');
  const unblock = () => button('Unblock', () => setBlocked(partner, false));
  const blocked = h('div.blocked', note('warn', '', say`You have blocked ${partner}. New messages from ${partner} do not reach you.`, null, unblock()));
  const choices = [button('Block', block), unblock(), button('Delete conversation', deleteConversation, 'bad rule')];
  const options = menu(button('Options', null, 'options', { 'aria-label': 'Options for this conversation' }), choices);
  const node = thread(shown(partner), bdi(partner), [skipLink('Skip to writing', 'textarea'), options], blocked, log.node, h('div.float', below), writing);
  open = {
    partner, log, below, options, choices, blocked, writing, items: [], older: loader('Load older messages', loadOlder), newer: loader('Load newer messages', loadNewer),
    newest: 0, newBelow: 0, changes: 0,
  };
  addEventListener('scroll', scrolled, true);
  showOptions();
  showWriting(null);
  load(unread);
  return node;
}

export function closeConversation() {
  removeEventListener('scroll', scrolled, true);
  open?.seen?.stop();
  open = null;
}

const get = (query, options) => call('GET', path`/conversation/${open.partner}?limit=` + query, options);

// Asks for the newest messages, and again where one was sent, read or deleted here meanwhile: the answer may not know.
async function getNewest(limit, options) {
  const mine = open;
  const { changes } = mine;
  const answer = await get(limit, options);
  return mine === open && changes !== mine.changes ? getNewest(limit, options) : answer;
}

async function load(unread = 0) {
  const mine = open;
  try {
    const asked = [getNewest(Math.min(Math.max(unread + 10, PAGE), LARGEST_PAGE)), call('GET', '/blocks').catch(() => ({ blocks: [] }))];
    const [answer, { blocks }] = await waitFor(Promise.all(asked), open.log.top, 'Loading messages…');
    if (mine !== open) return;
    open.state = 'loaded';
    open.isBlocked = blocks.some(({ username }) => username === open.partner);
    take(answer);
    const fresh = open.items.filter(isUnread);
    if (fresh.length) open.line = { id: fresh[0].id, n: Math.max(fresh.length, unread) };
    render();
    goToLine();
  } catch (refusal) {
    if (mine === open) showFailed(refusal);
  }
}

const isUnread = ({ sender, is_read: isRead }) => sender === open.partner && !isRead;

function showFailed({ isAway, retryAt }) {
  let failed = loadFailed('The messages could not be loaded', retryAt, () => load());
  if (!isAway) {
    open.state = 'failed';
    open.writing.replaceChildren();
    failed = note('warn', say`Nobody here is called ${open.partner}`, 'Please check the name.', 'alert', button('Back to the conversations', goTo('#/')));
  }
  sync(open.log.top, [failed]);
}

// Merges an answer with the newest messages into those that are shown. Gives the partner's that are new.
function take({ messages, has_more: hasMore, with_role: role, can_reply: canReply, reply_refusal: refusal }) {
  const oldest = messages[0]?.id ?? 0;
  const overlaps = open.items.some(({ id }) => id === oldest);
  if (!(overlaps && hasMore)) open.hasOlder = hasMore;
  open.items = [...(overlaps && hasMore ? open.items.filter(({ id }) => id < oldest) : []), ...messages];
  const fresh = messages.filter(({ id, sender }) => id > open.newest && sender === open.partner);
  open.newest = Math.max(open.newest, ...messages.map(({ id }) => id));
  open.role = role;
  showOptions();
  showWriting(canReply ? null : refusal ?? 'not_allowed');
  return fresh;
}

function render() {
  const { items, log, hasOlder, hasNewer, partner } = open;
  if (hasOlder) sync(log.top, [open.older]);
  else {
    const words = items.length ? say`This is where your conversation with ${partner} begins.` : say`There are no messages between you and ${partner}.`;
    log.top.replaceChildren(h('p.hint.begins', { tabindex: -1 }, words));
  }
  sync(log.bottom, hasNewer ? [open.newer] : []);
  log.show(items, open.line);
  const { writing } = open;
  open.seen ??= watchSeen(markRead, getComputedStyle(writing).position === 'sticky' ? writing.offsetHeight : 0);
  for (const message of items) if (isUnread(message)) open.seen.watch(log.nodeOf(message.id), message.id);
}

// Older or newer messages than those shown; beyond MOST_SHOWN those at the other end go from the document.
async function loadPart(query) {
  const mine = open;
  const answer = await get(PAGE + query);
  return mine === open ? answer : new Promise(() => {});
}

async function loadOlder() {
  const { messages, has_more: hasMore } = await loadPart(`&before=${open.items[0].id}`);
  const items = [...messages, ...open.items];
  Object.assign(open, { items: items.slice(0, MOST_SHOWN), hasOlder: hasMore, hasNewer: open.hasNewer || items.length > MOST_SHOWN });
  keepPlace(open.log.node, render);
  if (hasMore) return count(messages.length, 'older message');
  find('.begins').focus({ preventScroll: true });
  return `This is where your conversation with ${shown(open.partner)} begins.`;
}

async function loadNewer() {
  const { messages, has_more: hasMore } = await loadPart(`&after=${open.items.at(-1).id}`);
  const items = [...open.items, ...messages];
  Object.assign(open, { items: items.slice(-MOST_SHOWN), hasNewer: hasMore, hasOlder: open.hasOlder || items.length > MOST_SHOWN });
  keepPlace(open.log.node, render);
  return count(messages.length, 'newer message');
}

// Asks for what is new, if the inbox knows of something or a read receipt is awaited.
export async function refresh(isChanged) {
  const mine = open;
  if (!open || open.state === 'failed' || open.hasNewer) return;
  if (!open.state) {
    load();
    return;
  }
  if (!isChanged && !open.items.some(({ sender, is_read: isRead }) => sender === me.username && !isRead)) return;
  const answer = await getNewest(PAGE, { background: true });
  if (mine !== open) return;
  const wasAtEnd = isAtEnd();
  const fresh = take(answer);
  if (wasAtEnd) {
    render();
    goToEnd();
  } else {
    keepPlace(open.log.node, render);
    countBelow(fresh.length);
  }
  if (fresh.length === 1) announce(`New message from ${shown(open.partner)}: ${[...fresh[0].content].slice(0, 200).join('')}`);
  else if (fresh.length) announce(`${fresh.length} new messages`);
}

addEventListener('sent', ({ detail: { partner, message } }) => {
  if (partner !== open?.partner) return;
  announce('Sent');
  open.changes += 1;
  if (open.hasNewer) return openAgain();
  open.items = [...open.items.filter(({ id }) => id !== message.id), { ...message, sender: me.username }].sort((a, b) => a.id - b.id);
  render();
  return goToEnd();
});

// Where the reader is.

function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = scrollerOf(open.log.node);
  return scrollHeight - scrollTop - clientHeight < 40;
}

function goToEnd() {
  if (open.hasNewer) return openAgain();
  const scroller = scrollerOf(open.log.node);
  scroller.scrollTop = scroller.scrollHeight;
  return countBelow(-open.newBelow);
}

function openAgain() {
  Object.assign(open, { hasNewer: false, items: [] });
  load();
}

function goToLine() {
  const line = open.log.line();
  if (!line) return goToEnd();
  const scroller = scrollerOf(open.log.node);
  scroller.scrollTop += line.getBoundingClientRect().top - Math.max(0, scroller.getBoundingClientRect().top) - scroller.clientHeight / 3;
  return null;
}

const scrolled = () => open.newBelow && isAtEnd() && countBelow(-open.newBelow);

function countBelow(more) {
  open.newBelow += more;
  open.below.hidden = !open.newBelow;
  open.below.replaceChildren(`${count(open.newBelow, 'new message')} below`);
}

async function markRead(id) {
  const mine = open;
  const mark = { partner: mine.partner };
  emit('marking', mark);
  try {
    await call('PATCH', `/${id}/read`, { background: true });
  } catch ({ status }) {
    if (status !== 404) setTimeout(() => mine === open && render(), RETRY_MILLISECONDS);
    return;
  }
  mine.changes += 1;
  emit('read', mark);
  Object.assign(mine.items.find((message) => message.id === id) ?? {}, { is_read: true });
}

// Writing and options.

function showWriting(code) {
  if (code === open.code) return;
  open.code = code;
  const { partner, writing } = open;
  if (code && sending(partner).phase === 'refused') stopSending(partner);
  const rule = code && ruleNote(code, partner);
  // A text that cannot be sent stays, to be copied.
  const isKept = !rule || readDraft(partner).content;
  writing.replaceChildren(rule ?? '', isKept ? composer(partner, { newest: () => open.newest, isThere }) : '');
}

async function isThere({ content, after }) {
  await refresh(true).catch(() => {});
  return open.items.some((message) => message.sender === me.username && message.id > after && message.content === content);
}

function showOptions() {
  const { role, isBlocked, items, options, choices, blocked } = open;
  const mayBlock = role !== null && !(isPatient() && role && role !== 'user');
  options.hidden = !items.length;
  choices[0].hidden = !mayBlock || isBlocked;
  choices[1].hidden = !mayBlock || !isBlocked;
  blocked.hidden = !isBlocked;
}

addEventListener('blocked', ({ detail: { username, isBlocked } }) => {
  if (username !== open?.partner) return;
  const hadFocus = open.blocked.contains(document.activeElement);
  open.isBlocked = isBlocked;
  showOptions();
  if (hadFocus) find('.options').focus();
});

async function block() {
  const { partner } = open;
  if (await ask(say`Block ${partner}?`, [
    say`${partner} cannot write to you any more. Nobody tells ${partner}, but the page will say that writing to you is not possible.`,
    say`What you both wrote stays. You can still write to ${partner}, and you can unblock at any time.`,
  ], 'Block', 'Do not block')) setBlocked(partner, true);
}

async function deleteMessage({ id: gone }) {
  const mine = open;
  if (!await ask('Delete this message?', [say`It disappears for you and cannot be brought back. ${open.partner} keeps it.`], 'Delete message', 'Keep it')) return;
  try {
    await call('DELETE', `/${gone}`);
  } catch ({ status }) {
    if (status !== 404) {
      sorry();
      return;
    }
  }
  if (mine !== open) return;
  const { items, log, line } = open;
  const next = items.find(({ id }) => id > gone);
  open.items = items.filter(({ id }) => id !== gone);
  open.changes += 1;
  if (line?.id === gone) open.line = next && { ...line, id: next.id };
  const neighbour = next ?? open.items.at(-1);
  keepPlace(log.node, render);
  showOptions();
  (neighbour ? find('.dots', log.nodeOf(neighbour.id)) : log.node).focus();
  announce('Message deleted');
  emit('pollnow');
}

async function deleteConversation() {
  const { partner, newest } = open;
  if (!await ask('Delete this conversation?', [say`All messages between you and ${partner} disappear for you and cannot be brought back. ${partner} keeps them. If ${partner} writes again, the conversation starts anew.`], 'Delete conversation', 'Keep it')) return;
  try {
    await call('DELETE', path`/conversation/${partner}?up_to=${newest}`);
  } catch {
    sorry();
    return;
  }
  emit('deleted', partner);
}
