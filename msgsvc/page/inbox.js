// The list of conversations: unread counts, only the unread, more on demand.
import { call } from './service.js';
import { alert, announce, bdi, button, byId, clock, count, h, listTime, note, retitle, roleName, serviceAway, shown, sync, unseen } from './dom.js';
import { isPatient } from './session.js';

const PAGE = 20;
const RETRY_MILLISECONDS = 15_000;

let list = null;

// The list of whoever has logged in now.
export function createInbox() {
  const heading = h('h2', { tabindex: -1 }, 'Conversations');
  const create = button('New message', () => { location.hash = '#/new'; }, 'primary');
  const chip = button([h('span.tick', { 'aria-hidden': 'true' }), 'Only unread'], () => filter(!list.onlyUnread), 'chip', { 'aria-pressed': 'false' });
  const counted = h('p.hint.counted');
  const state = h('div.state');
  const rowList = h('ul.rows', { role: 'list' });
  const more = button('Load more conversations', loadMore, 'more', { hidden: true });
  const node = h('section.list', { 'aria-label': 'Conversations' }, h('div.listhead', heading, create, h('div', chip, counted)), state, rowList, more);
  list = { node, heading, create, chip, counted, state, rowList, more, rows: [], nodes: new Map(), total: 0, unread: 0, onlyUnread: false, etag: '', current: '', loaded: false };
}

export const discard = () => { list = null; };
export const inboxNode = () => list.node;
export const isShown = () => byId('main').contains(list?.node);
export const rowOf = (partner) => list.rows.find(({ with_user: name }) => name === partner);
export const unreadText = () => (list.unread ? `${list.unread.toLocaleString('en-GB')} unread` : 'Nothing unread');
export const focusHeading = () => list.heading.focus();

// The row of a partner, else New message.
export const focusRow = (partner) => (list.nodes.get(partner)?.firstChild ?? list.create).focus();

export function setCurrent(partner) {
  list.current = partner;
  render();
}

const get = (page, options) => call('GET', `/inbox?page=${page}&limit=${PAGE}${list.onlyUnread ? '&unread_only=true' : ''}`, options);

// Asks for what is new. Gives the rows with messages that were not there before, or null where nothing changed.
export async function refresh(background) {
  const { rows, onlyUnread, loaded, etag } = list;
  const answer = await get(1, { background, etag });
  if (!answer || onlyUnread !== list.onlyUnread) return null;
  const first = answer.conversations;
  const before = new Map(rows.map((row) => [row.with_user, row.unread_count]));
  const others = rows.length > PAGE ? rows.filter(({ with_user: name }) => !first.some((row) => row.with_user === name)) : [];
  take(answer, first.length + others.length > answer.total_conversations ? first : [...first, ...others]);
  list.etag = answer.etag;
  return first.filter((row) => loaded && row.is_latest_from_them && row.unread_count > (before.get(row.with_user) ?? 0));
}

function take({ total_conversations: total, total_unread: unread }, rows) {
  Object.assign(list, { rows, total, unread, loaded: true });
  list.state.replaceChildren();
  render();
}

// What the page does itself shows before the service is asked again: n messages of a partner are read, or all are gone.
export function change(partner, n, isGone) {
  const row = rowOf(partner);
  if (!row) return;
  const lowered = Math.min(n, row.unread_count);
  row.unread_count -= lowered;
  list.unread = Math.max(0, list.unread - lowered);
  list.etag = '';
  if (isGone) {
    list.rows.splice(list.rows.indexOf(row), 1);
    list.total -= 1;
  }
  render();
}

async function filter(onlyUnread) {
  Object.assign(list, { onlyUnread, etag: '', rows: [], total: 0 });
  list.chip.setAttribute('aria-pressed', onlyUnread);
  await load();
  if (list.loaded && onlyUnread) announce(`${count(list.total, 'conversation')} with unread messages`);
}

// Loads the list, and shows that it is loading or could not be.
export async function load() {
  list.loaded = false;
  const waiting = setTimeout(() => list.state.replaceChildren(h('p.hint', 'Loading your conversations…')), 400);
  await refresh().catch(({ retryAt }) => showFailed(retryAt || Date.now() + RETRY_MILLISECONDS));
  clearTimeout(waiting);
}

export function showFailed(at) {
  if (!list.loaded) list.state.replaceChildren(loadFailed('Your conversations could not be loaded', at, load));
}

// The note for what could not be loaded; the polling tries again at that time.
export const loadFailed = (title, at, again) => note('bad', title, `The service did not answer. Nothing is lost. This page tries again at ${clock(at)}.`, 'status', button('Try again', again));

async function loadMore() {
  let answer;
  try {
    answer = await get(Math.floor(list.rows.length / PAGE) + 1);
  } catch {
    return list.state.replaceChildren(serviceAway());
  }
  const fresh = answer.conversations.filter((row) => !rowOf(row.with_user));
  take(answer, [...list.rows, ...fresh]);
  announce(count(fresh.length, 'more conversation'));
  if (fresh.length) focusRow(fresh[0].with_user);
  return null;
}

function render() {
  const { rows, nodes, total, unread, loaded } = list;
  retitle({ unread });
  list.counted.replaceChildren(loaded ? unreadText() : '');
  for (const partner of nodes.keys()) if (!rowOf(partner)) nodes.delete(partner);
  sync(list.rowList, rows.map(rowNode));
  list.rowList.hidden = !rows.length;
  list.more.hidden = rows.length >= total;
  if (loaded && !rows.length) list.state.replaceChildren(emptyState());
}

function emptyState() {
  if (list.onlyUnread) {
    return h('div.empty', h('p', h('strong', 'Nothing unread')), h('p', 'You have read everything.'),
      button('Show all conversations', () => { list.chip.focus(); filter(false); }));
  }
  return h('div.empty', h('p', h('strong', 'No conversations yet')),
    h('p', 'When somebody from your care team writes to you, you find it here. You can also write first: choose ', h('strong', 'New message'), '.'),
    isPatient() && h('p.hint.rule', 'Messages may not be read at once. In an emergency, call your local emergency number.'));
}

function rowNode(row) {
  const { with_user: partner, unread_count: unread, last_message_time: time } = row;
  if (!list.nodes.has(partner)) list.nodes.set(partner, h('li', h('a', { href: `#/conversation/${encodeURIComponent(partner)}` })));
  const node = list.nodes.get(partner);
  const link = node.firstChild;
  if (partner === list.current) link.setAttribute('aria-current', 'true');
  else link.removeAttribute('aria-current');
  const drawn = JSON.stringify([row, listTime(time)]);
  if (node.drawn === drawn) return node;
  node.drawn = drawn;
  const role = roleName(row.with_role);
  link.className = unread ? 'conv new' : 'conv';
  link.replaceChildren(h('span.name', bdi(partner)), unseen(' , '), unread ? h('span.badge', unread, unseen(' unread, ')) : '',
    h('time', { datetime: time }, listTime(time)), unseen(' . '), role && h('span.role', role, unseen('. ')),
    h('span.preview', row.is_latest_from_them ? '' : 'You: ', h('bdi', row.last_message)));
  return node;
}

// Arrivals are said once; the open conversation says its own.
export function announceArrivals(rows, openPartner) {
  const others = rows.filter((row) => row.with_user !== openPartner);
  const n = others.reduce((sum, row) => sum + row.unread_count, 0);
  if (others.length) announce(n === 1 ? `New message from ${shown(others[0].with_user)}` : `${n} new messages`);
}
