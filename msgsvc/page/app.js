// The page: the list of conversations, the views beside it, and what happens when a session begins and ends.
import { focusNew, newMessage } from './composer.js';
import * as conversation from './conversation.js';
import {
  announce, banner, bdi, button, byId, find, goTo, h, loadFailed, note, retitle, serviceAway, skipLink, sync, unseen, waitFor,
} from './dom.js';
import { roleName, shown, count, clock, listTime } from './words.js';
import { call, choosePerson, chosenPerson, embedded, path, poll, resumeSending, startPolling, stopPolling } from './service.js';
import {
  accountMenu, emergency, endedNote, isAdmin, isPatient, isStillMe, leave, logout, me, restore, showLogin, showMustChange, unwatch, watch,
} from './session.js';

const PAGE = 20;
const TABS = { '': 'Inbox', 'look-up': 'Look-up', audit: 'Audit', ...(!embedded && { accounts: 'Accounts' }) };

const main = byId('main');
const tabs = byId('tabs');
const skip = skipLink('Skip to the conversation', '.thread h2');
byId('bar').prepend(skip);
let openBefore = null;
let list = null;

// A session begins and ends.

function begin() {
  if (me.must_change_password) return showMustChange(begin);
  createList();
  if (!embedded) byId('bar').append(accountMenu());
  tabs.hidden = !isAdmin();
  tabs.replaceChildren(...Object.entries(TABS).map(([view, label]) => h('a', { href: `#/${view}` }, label)));
  watch();
  startPolling(ask, reportPolling);
  load().then(() => isListShown() && announce(unreadText()));
  resumeSending();
  return route();
}

// Takes everything of a session from the document.
function clear() {
  stopPolling();
  unwatch();
  conversation.closeConversation();
  list = null;
  for (const box of document.querySelectorAll('dialog')) box.remove();
  for (const id of ['main', 'banners', 'tabs', 'live']) byId(id).replaceChildren();
  find('.menu', byId('bar'))?.remove();
  tabs.hidden = skip.hidden = true;
  setView('');
  retitle({ unread: 0, soon: false });
}

function end(reason) {
  clear();
  leave();
  showLogin(begin, reason);
}

addEventListener('logout', ({ detail: everywhere }) => {
  clear();
  const ending = logout(everywhere);
  history.replaceState(null, '', '#/');
  showLogin(begin);
  ending.catch(() => find('.problem')?.append(endedNote('no_answer')));
});

addEventListener('ended', ({ detail }) => end(detail));
addEventListener('mustchange', () => { clear(); showMustChange(begin); });

// Nothing stays for the Back button: a page that is left is emptied, one that comes back starts again.

async function start() {
  clear();
  try {
    await restore();
    if (me.username) begin();
    else showLogin(begin);
  } catch {
    showLogin(begin, 'no_answer');
  }
}

addEventListener('pagehide', clear);
addEventListener('pageshow', ({ persisted }) => persisted && start());
document.addEventListener('visibilitychange', async () => {
  if (embedded && me.username && !document.hidden && !await isStillMe().catch(() => true)) location.reload();
});

// Polling. Arrivals are said once; the open conversation says its own.

async function ask() {
  const arrived = await refresh(true);
  const others = arrived?.filter((row) => row.with_user !== conversation.openPartner()) ?? [];
  const n = others.reduce((sum, row) => sum + row.unread_count, 0);
  if (others.length) announce(n === 1 ? `New message from ${shown(others[0].with_user)}` : `${n} new messages`);
  await conversation.refresh(Boolean(arrived));
}

function reportPolling(error, at) {
  if (!error) return banner('service');
  showFailed(at);
  return banner('service', navigator.onLine
    ? note('warn', 'The service does not answer.', `What you see may be old. Next try at ${clock(at)}.`, 'status')
    : note('warn', 'You are offline.', 'You can go on writing; it is kept in this tab. The page looks for the network by itself.', 'status'));
}

addEventListener('offline', () => me.username && reportPolling(true));
addEventListener('pollnow', poll);

// Views.

function parse() {
  const [, view = '', name = ''] = /^#\/([a-z-]*)(?:\/(.*))?$/.exec(location.hash) ?? [];
  try {
    return [view, decodeURIComponent(name)];
  } catch {
    return ['', ''];
  }
}

function route() {
  if (!me.username || me.must_change_password) return;
  const [view, name] = parse();
  const isAdminView = Boolean(view) && Object.hasOwn(TABS, view) && isAdmin();
  const left = openBefore;
  openBefore = view === 'conversation' ? name : null;
  conversation.closeConversation();
  for (const tab of tabs.children) tab.ariaCurrent = tab.hash === `#/${isAdminView ? view : ''}` ? 'page' : null;
  if (isAdminView) showAdmin(view);
  else showInbox(view, openBefore, left);
}

const setView = (view) => { main.dataset.view = view; };

async function showAdmin(view) {
  setView('admin');
  skip.hidden = true;
  const { adminPage } = await import('./admin.js');
  if (!me.username || parse()[0] !== view) return;
  main.replaceChildren(adminPage(view));
  find('h1').focus();
}

function showInbox(view, partner, left) {
  const isNew = view === 'new';
  let pane = h('section.thread.none', h('p.hint', 'Choose a conversation to read it here.'));
  if (isNew) pane = newMessage();
  else if (partner) pane = conversation.openConversation(partner, rowOf(partner)?.unread_count ?? 0);
  if (!isListShown()) main.replaceChildren(h('h1.unseen', 'Messages'), list.node);
  find('.thread')?.remove();
  main.append(pane);
  skip.hidden = !(isNew || partner);
  setView(skip.hidden ? 'list' : 'thread');
  list.current = partner;
  render();
  if (isNew) focusNew();
  else if (partner) find('.thread h2').focus({ preventScroll: true });
  else if (left) focusRow(left);
  else find('h2').focus();
}

addEventListener('hashchange', route);
addEventListener('sent', ({ detail: { partner } }) => {
  if (chosenPerson()?.username === partner) {
    choosePerson(null);
    if (parse()[0] === 'new') {
      location.hash = path`#/conversation/${partner}`;
      announce(`Sent to ${shown(partner)}`);
    }
  }
  poll();
});

// The list of conversations: unread counts, only the unread, more on demand.

function createList() {
  const create = button('New message', goTo('#/new'), 'primary');
  const chip = button('Only unread', () => filter(!list.onlyUnread), 'chip', { 'aria-pressed': 'false' });
  const counted = h('p.hint.counted');
  const state = h('div.state');
  const rowList = h('ul.rows', { role: 'list' });
  const more = button('Load more conversations', loadMore, 'more', { hidden: true });
  const node = h('section.list', { 'aria-label': 'Conversations' },
    h('div.listhead', h('h2', { tabindex: -1 }, 'Conversations'), create, h('div', chip, counted)), state, rowList, more);
  list = { node, create, chip, counted, state, rowList, more, rows: [], nodes: new Map(), total: 0, unread: 0, onlyUnread: false };
}

const isListShown = () => main.contains(list?.node);
const rowOf = (partner) => list.rows.find((row) => row.with_user === partner);
const unreadText = () => (list.unread ? count(list.unread, 'unread', 'unread') : 'Nothing unread');

// The row of a partner, else New message.
const focusRow = (partner) => (list.nodes.get(partner)?.firstChild ?? list.create).focus();

const get = (page, options) => call('GET', `/inbox?page=${page}&limit=${PAGE}&unread_only=${list.onlyUnread}`, options);

// Asks for what is new. Gives the rows with messages that were not there before, or null where nothing changed.
async function refresh(background) {
  const { rows, onlyUnread, loaded, etag } = list;
  const answer = await get(1, { background, etag });
  if (!answer || onlyUnread !== list.onlyUnread) return null;
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
  openBefore = null;
  location.hash = '#/';
  announce(`Conversation with ${shown(partner)} deleted`);
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

function showFailed(at) {
  if (!list.loaded) list.state.replaceChildren(loadFailed('Your conversations could not be loaded', at, load));
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

function render() {
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

start();
