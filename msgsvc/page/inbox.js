// The list of conversations: unread counts, only the unread, more on demand.
import { announce, bdi, button, goTo, h, loadFailed, retitle, serviceAway, sync, unseen, waitFor } from './dom.js';
import { roleName, count, listTime } from './words.js';
import { call, path } from './service.js';
import { emergency, isPatient } from './session.js';

const PAGE = 20;

export let list = null;

export const forgetList = () => { list = null; };

// Begins to load the list, which may be before anybody knows who is logged in.
export function createList() {
  const create = button('New message', goTo('#/new'), 'primary');
  const chip = button('Only unread', () => filter(!list.onlyUnread), 'chip', { 'aria-pressed': 'false' });
  const counted = h('p.hint.counted');
  const state = h('div.state');
  const rowList = h('ul.rows', { role: 'list' });
  const more = button('Load more conversations', loadMore, 'more', { hidden: true });
  const node = h('section.list', { 'aria-label': 'Conversations' },
    h('div.listhead', h('h2', { tabindex: -1 }, 'Conversations'), create, h('div', chip, counted)), state, rowList, more);
  list = { node, create, chip, counted, state, rowList, more, rows: [], nodes: new Map(), total: 0, unread: 0, reads: 0, onlyUnread: false };
  list.loading = load();
}

export const rowOf = (partner) => list.rows.find((row) => row.with_user === partner);
export const unreadText = () => (list.unread ? count(list.unread, 'unread', 'unread') : 'Nothing unread');

// The row of a partner, else New message.
export const focusRow = (partner) => (list.nodes.get(partner)?.firstChild ?? list.create).focus();

const get = (page, options) => call('GET', `/inbox?page=${page}&limit=${PAGE}&unread_only=${list.onlyUnread}`, options);

// Asks for what is new. Gives the rows with messages that were not there before, or null where nothing changed.
export async function refresh(background) {
  const { rows, onlyUnread, loaded, etag, reads } = list;
  const answer = await get(1, { background, etag });
  if (!answer || onlyUnread !== list?.onlyUnread) return null;
  // Asked before something was read or deleted here, it may count that still.
  if (reads !== list.reads) return refresh(background);
  const first = answer.conversations;
  const before = new Map(rows.map((row) => [row.with_user, row.unread_count]));
  const others = rows.length > PAGE ? rows.filter((row) => !first.some(({ with_user: name }) => name === row.with_user)) : [];
  take(answer, first.length + others.length > answer.total_conversations ? first : [...first, ...others]);
  list.etag = answer.etag;
  return first.filter((row) => loaded && row.is_latest_from_them && row.unread_count > (before.get(row.with_user) ?? 0));
}

function take({ total_conversations: total, total_unread: unread }, rows) {
  Object.assign(list, { rows, total, unread, loaded: true });
  list.state.replaceChildren();
  render();
}

// What the page does itself shows before the service is asked again.
function lower(partner, n) {
  list.reads += 1;
  const row = rowOf(partner);
  if (!row) return;
  const lowered = Math.min(n, row.unread_count);
  row.unread_count -= lowered;
  list.unread -= lowered;
  list.etag = '';
  render();
}

addEventListener('read', ({ detail: partner }) => lower(partner, 1));
addEventListener('deleted', ({ detail: partner }) => {
  lower(partner, Infinity);
  list.rows = list.rows.filter((row) => row.with_user !== partner);
  refresh(true).catch(() => {});
});

async function filter(onlyUnread) {
  Object.assign(list, { onlyUnread, etag: '', rows: [], total: 0 });
  list.chip.ariaPressed = onlyUnread;
  await load();
  if (list.loaded && onlyUnread) announce(`${count(list.total, 'conversation')} with unread messages`);
}

// Loads the list, and shows that it is loading or could not be.
async function load() {
  list.loaded = false;
  await waitFor(refresh(), list.state, 'Loading your conversations…').catch(({ retryAt }) => showFailed(retryAt));
}

export function showFailed(at) {
  if (list?.loaded === false) list.state.replaceChildren(loadFailed('Your conversations could not be loaded', at, load));
}

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

export function render() {
  const { rows, nodes, total, unread, loaded } = list;
  retitle({ unread });
  list.counted.replaceChildren(loaded ? unreadText() : '');
  for (const partner of nodes.keys()) if (!rowOf(partner)) nodes.delete(partner);
  sync(list.rowList, rows.map(rowNode));
  list.rowList.hidden = !rows.length;
  list.more.hidden = rows.length >= total;
  if (loaded && !rows.length) list.state.replaceChildren(h('div.empty', emptyState()));
}

const emptyState = () => (list.onlyUnread
  ? [h('p', h('strong', 'Nothing unread')), h('p', 'You have read everything.'), button('Show all conversations', () => { list.chip.focus(); filter(false); })]
  : [h('p', h('strong', 'No conversations yet')),
    h('p', 'When somebody from your care team writes to you, you find it here. You can also write first: choose ', h('strong', 'New message'), '.'),
    isPatient() && emergency()]);

function rowNode(row) {
  const { with_user: partner, unread_count: unread, last_message_time: time } = row;
  if (!list.nodes.has(partner)) list.nodes.set(partner, h('li', h('a', { href: path`#/conversation/${partner}` })));
  const node = list.nodes.get(partner);
  const link = node.firstChild;
  link.ariaCurrent = partner === list.current ? 'true' : null;
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
