// The list of conversations: unread counts, only the unread, more on demand.
import { call } from './api.js';
import { announce, bdi, button, byId, count, h, note, retitle, say, shown, sync, unseen } from './dom.js';
import { isPatient } from './session.js';
import { T, roleName } from './texts.js';
import { clock, listTime } from './times.js';

const PAGE = 20;

let list = null;

/** The list of whoever has logged in now. */
export function createInbox() {
  list = { rows: [], nodes: new Map(), total: 0, unread: 0, onlyUnread: false, etag: '', current: '', loaded: false };
  const chip = h('button', { type: 'button', class: 'chip', 'aria-pressed': 'false', onclick: () => filter(!list.onlyUnread) },
    h('span', { 'aria-hidden': 'true', class: 'tick' }), T.onlyUnread);
  const heading = h('h2', { tabindex: '-1' }, T.conversations);
  const create = button(T.newMessage, () => { location.hash = '#/new'; }, 'primary');
  const counted = h('p', { class: 'hint counted' });
  const state = h('div', { class: 'state' });
  const rows = h('ul', { role: 'list', class: 'rows' });
  const more = button(T.moreConversations, loadMore, 'more', { hidden: true });
  const node = h('section', { class: 'list', 'aria-label': T.conversations },
    h('div', { class: 'listhead' }, heading, create, h('div', {}, chip, counted)), state, rows, more);
  Object.assign(list, { node, heading, create, chip, counted, state, rowList: rows, more });
  return node;
}

export const unreadText = () => (list.unread ? `${list.unread.toLocaleString('en-GB')} unread` : T.nothingUnread);
export const focusHeading = () => list.heading.focus();
export const rowOf = (partner) => list.rows.find((row) => row.with_user === partner);

/** The row of a partner, else New message. */
export function focusRow(partner) {
  (list.nodes.get(partner)?.isConnected ? list.nodes.get(partner).firstChild : list.create).focus();
}

export function setCurrent(partner) {
  list.current = partner;
  render();
}

async function page(number, options = {}) {
  const filtered = list.onlyUnread ? '&unread_only=true' : '';
  return call('GET', `/inbox?page=${number}&limit=${PAGE}${filtered}`, options);
}

/** Asks for what is new. Gives the rows with messages that were not there before, or null where nothing changed. */
export async function refresh({ background = false } = {}) {
  const mine = list;
  const filtered = list.onlyUnread;
  const answer = await page(1, { background, etag: list.etag });
  if (!answer || mine !== list || filtered !== list.onlyUnread) return null;
  const before = new Map(list.rows.map((row) => [row.with_user, row]));
  const isFirst = !list.loaded;
  const first = new Set(answer.conversations.map((row) => row.with_user));
  const merged = [...answer.conversations, ...(list.rows.length > PAGE ? list.rows.filter((row) => !first.has(row.with_user)) : [])];
  take(answer, merged.length > answer.total_conversations ? answer.conversations : merged);
  if (isFirst) return [];
  return answer.conversations.filter((row) => {
    const old = before.get(row.with_user);
    return row.is_latest_from_them && row.unread_count > (old?.unread_count ?? 0);
  });
}

function take(answer, rows) {
  Object.assign(list, { rows, total: answer.total_conversations, unread: answer.total_unread, loaded: true });
  if (answer.page === 1) list.etag = answer.etag;
  list.state.replaceChildren();
  render();
}

/** Reading lowers the counts before the service is asked again. */
export function lower(partner, n) {
  const row = rowOf(partner);
  if (!row) return;
  const lowered = Math.min(n, row.unread_count);
  row.unread_count -= lowered;
  list.unread = Math.max(0, list.unread - lowered);
  list.etag = '';
  render();
}

/** A conversation that was deleted goes from the list at once. */
export function drop(partner) {
  const row = rowOf(partner);
  if (!row) return;
  list.rows = list.rows.filter((other) => other !== row);
  list.total -= 1;
  list.unread = Math.max(0, list.unread - row.unread_count);
  list.etag = '';
  render();
}

async function filter(onlyUnread) {
  Object.assign(list, { onlyUnread, etag: '', rows: [], total: 0 });
  list.chip.setAttribute('aria-pressed', onlyUnread);
  await load();
  if (list.loaded && onlyUnread) announce(`${count(list.total, 'conversation', 'conversations')} with unread messages`);
}

/** Loads the list, and shows that it is loading or could not be. `retryAt` is when the page tries again by itself. */
export async function load() {
  list.loaded = false;
  const waiting = setTimeout(() => list.loaded || list.state.replaceChildren(h('p', { class: 'hint' }, T.loadingList)), 400);
  try {
    await refresh();
  } catch (refusal) {
    showFailed((refusal.retryAt ?? 0) || Date.now() + 15_000);
  }
  clearTimeout(waiting);
}

export function showFailed(at) {
  if (list.loaded) return;
  list.state.replaceChildren(note('bad', T.listFailed, say(T.triesAgain, { time: clock(at) }), { role: 'status', buttons: [button(T.tryAgain, load)] }));
}

async function loadMore() {
  const mine = list;
  let answer;
  try {
    answer = await page(Math.floor(list.rows.length / PAGE) + 1);
  } catch {
    return list.state.replaceChildren(note('bad', T.serviceAway, T.serviceAwayText, { role: 'alert' }));
  }
  if (mine !== list) return;
  const fresh = answer.conversations.filter((row) => !rowOf(row.with_user));
  take(answer, [...list.rows, ...fresh]);
  announce(count(fresh.length, 'more conversation', 'more conversations'));
  if (fresh.length) focusRow(fresh[0].with_user);
}

function render() {
  retitle({ unread: list.unread });
  list.counted.replaceChildren(list.loaded ? unreadText() : '');
  const nodes = list.rows.map(rowNode);
  const present = new Set(list.rows.map((row) => row.with_user));
  for (const partner of list.nodes.keys()) if (!present.has(partner)) list.nodes.delete(partner);
  sync(list.rowList, nodes);
  list.rowList.hidden = !nodes.length;
  list.more.hidden = list.rows.length >= list.total;
  if (list.loaded && !nodes.length) list.state.replaceChildren(emptyState());
}

function emptyState() {
  if (list.onlyUnread) {
    return h('div', { class: 'empty' }, h('p', {}, h('strong', {}, T.nothingUnread)), h('p', {}, T.allRead),
      button(T.showAll, () => { list.chip.focus(); filter(false); }));
  }
  return h('div', { class: 'empty' }, h('p', {}, h('strong', {}, T.noConversations)), h('p', {}, say(T.noConversationsText)),
    isPatient() && h('p', { class: 'hint rule' }, T.emergency));
}

function rowNode(row) {
  const { with_user: partner, unread_count: unread } = row;
  let node = list.nodes.get(partner);
  const seen = JSON.stringify([row, listTime(row.last_message_time)]);
  if (!node) {
    node = h('li', {}, h('a', { href: `#/conversation/${encodeURIComponent(partner)}` }));
    list.nodes.set(partner, node);
  }
  const link = node.firstChild;
  if (partner === list.current) link.setAttribute('aria-current', 'true');
  else link.removeAttribute('aria-current');
  if (node.seen === seen) return node;
  node.seen = seen;
  const role = roleName(row.with_role);
  link.className = unread ? 'conv new' : 'conv';
  link.replaceChildren(
    h('span', { class: 'name' }, bdi(partner)), unseen(' , '),
    ...(unread ? [h('span', { class: 'badge' }, String(unread), unseen(' unread, '))] : []),
    h('time', { datetime: row.last_message_time }, listTime(row.last_message_time)), unseen(' . '),
    ...(role ? [h('span', { class: 'role' }, role), unseen('. ')] : []),
    h('span', { class: 'preview' }, row.is_latest_from_them ? '' : 'You: ', h('bdi', {}, row.last_message)));
  return node;
}

/** What the live region says about arrivals: once each, and nothing about the conversation that says it itself. */
export function announceArrivals(rows, openPartner) {
  const others = rows.filter((row) => row.with_user !== openPartner);
  if (others.length === 1 && others[0].unread_count === 1) announce(`New message from ${shown(others[0].with_user)}`);
  else if (others.length) announce(`${others.reduce((sum, row) => sum + row.unread_count, 0)} new messages`);
}

export const node = () => list.node;
export const isShown = () => Boolean(list && byId('main').contains(list.node));
export const discard = () => { list = null; };
