// The page: its views, the list of conversations, and what happens when a session begins and ends.
import {
  announce, banner, bdi, button, byId, clock, count, find, goTo, h, listTime, loadFailed, note, retitle, roleName,
  serviceAway, shown, skipLink, sync, unseen, waitFor,
} from './dom.js';
import {
  actAs, call, choosePerson, chosenPerson, embedded, emit, path, poll, resumeSending, startPolling, stopPolling,
} from './service.js';
import {
  accountMenu, emergency, endedNote, isAdmin, isPatient, isStillMe, leave, logout, me, restore, showLogin,
  showMustChange, unwatch, watch,
} from './session.js';

const TABS = { '': 'Inbox', 'look-up': 'Look-up', audit: 'Audit', ...(!embedded && { accounts: 'Accounts' }) };

const main = byId('main');
const tabs = byId('tabs');
const skip = skipLink('Skip to the conversation', '.thread h2');
byId('bar').prepend(skip);
let openBefore = null;

// What the list does without comes when it is first needed, or when the browser has nothing else to do.
let conversation;
const loadConversation = async () => (conversation ??= await import('./conversation.js'));
const prepare = () => loadConversation().catch(() => {});

// A session begins and ends.

function begin() {
  if (me.must_change_password) {
    list = null;
    return showMustChange(begin);
  }
  if (!list) createList();
  if (!embedded) byId('bar').append(accountMenu());
  tabs.hidden = !isAdmin();
  tabs.replaceChildren(...Object.entries(TABS).map(([view, label]) => h('a', { href: `#/${view}` }, label)));
  watch();
  startPolling(ask, reportPolling);
  list.loading.then(() => {
    if (isListShown() && list.loaded) announce(unreadText());
    (window.requestIdleCallback ?? setTimeout)(prepare);
  });
  resumeSending();
  return route();
}

// Takes everything of a session from the document.
function clear() {
  stopPolling();
  unwatch();
  conversation?.closeConversation();
  list = null;
  for (const box of document.querySelectorAll('dialog')) box.remove();
  for (const id of ['main', 'banners', 'tabs', 'live']) byId(id).replaceChildren();
  find('.menu', byId('bar'))?.remove();
  tabs.hidden = skip.hidden = true;
  setView('');
  retitle({ unread: 0, soon: false });
}

addEventListener('logout', ({ detail: everywhere }) => {
  clear();
  const ending = logout(everywhere);
  history.replaceState(null, '', '#/');
  showLogin(begin);
  ending.catch(() => find('.problem')?.append(endedNote('no_answer')));
});

addEventListener('ended', ({ detail: reason }) => {
  clear();
  leave();
  showLogin(begin, reason);
});
addEventListener('mustchange', () => {
  clear();
  me.must_change_password = true;
  // While the service has not said who this is, its answer leads here too.
  if (me.username) showMustChange(begin);
});

// Nothing stays for the Back button: a page that is left is emptied, one that comes back starts again.

async function start() {
  clear();
  if (parse()[0]) prepare();
  try {
    await restore(createList);
    if (me.username) begin();
    else showLogin(begin);
  } catch {
    clear();
    showLogin(begin, 'no_answer');
  }
}

addEventListener('pagehide', () => {
  clear();
  // No answer comes to an emptied page.
  actAs('');
});
addEventListener('pageshow', ({ persisted }) => persisted && start());
document.addEventListener('visibilitychange', async () => {
  if (embedded && me.username && !document.hidden && !await isStillMe().catch(() => true)) location.reload();
});

// Polling. Arrivals are said once; the open conversation says its own.

async function ask() {
  const arrived = await refresh(true);
  const others = arrived?.filter((row) => row.with_user !== conversation?.openPartner()) ?? [];
  const n = others.reduce((sum, row) => sum + row.unread_count, 0);
  if (others.length) announce(n === 1 ? `New message from ${shown(others[0].with_user)}` : `${n} new messages`);
  await conversation?.refresh(Boolean(arrived));
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
  conversation?.closeConversation();
  for (const tab of tabs.children) tab.ariaCurrent = tab.hash === `#/${isAdminView ? view : ''}` ? 'page' : null;
  if (isAdminView) showAdmin(view);
  else showInbox(view === 'new', openBefore, left);
}

const isListShown = () => main.contains(list?.node);
const setView = (view) => { main.dataset.view = view; };

// Shows something in the place of an empty pane once the scripts for it are here, unless the pane is gone by then.
async function fill(empty, scripts, show) {
  const module = await scripts.catch(() => null);
  if (!empty.isConnected) return;
  if (module) show(module);
  else empty.replaceChildren(serviceAway(button('Try again', route)));
}

function showAdmin(view) {
  const empty = h('section.admin');
  setView('admin');
  skip.hidden = true;
  main.replaceChildren(empty);
  fill(empty, import('./admin.js'), ({ adminPage }) => {
    empty.replaceWith(adminPage(view));
    find('h1').focus();
  });
}

function showInbox(isNew, partner, left) {
  const isThread = isNew || partner;
  const empty = h('section.thread.none', !isThread && h('p.hint', 'Choose a conversation to read it here.'));
  if (!isListShown()) main.replaceChildren(h('h1.unseen', 'Messages'), list.node);
  find('.thread')?.remove();
  main.append(empty);
  skip.hidden = !isThread;
  setView(isThread ? 'thread' : 'list');
  list.current = partner;
  render();
  if (isNew) {
    fill(empty, import('./composer.js'), ({ newMessage, focusNew }) => {
      empty.replaceWith(newMessage());
      focusNew();
    });
  } else if (partner) {
    fill(empty, loadConversation(), ({ openConversation }) => {
      empty.replaceWith(openConversation(partner, rowOf(partner)?.unread_count ?? 0));
      find('.thread h2').focus({ preventScroll: true });
    });
  } else if (left) focusRow(left);
  else find('h2').focus();
}

addEventListener('hashchange', route);
addEventListener('deleted', ({ detail: partner }) => {
  openBefore = null;
  location.hash = '#/';
  announce(`Conversation with ${shown(partner)} deleted`);
});
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

const PAGE = 20;

let list = null;

// Begins to load the list, which may be before anybody knows who is logged in.
function createList() {
  const create = button('New message', goTo('#/new'), 'primary');
  const chip = button('Only unread', () => filter(!list.onlyUnread), 'chip', { 'aria-pressed': 'false' });
  const counted = h('p.hint.counted');
  const state = h('div.state');
  const rowList = h('ul.rows', { role: 'list' });
  const more = button('Load more conversations', loadMore, 'more', { hidden: true });
  const node = h('section.list', { 'aria-label': 'Conversations' },
    h('div.listhead', h('h2', { tabindex: -1 }, 'Conversations'), create, h('div', chip, counted)), state, rowList, more);
  list = { node, create, chip, counted, state, rowList, more, rows: [], nodes: new Map(), total: 0, unread: 0, reads: 0, answers: 0, onlyUnread: false };
  list.loading = load();
}

const rowOf = (partner) => list.rows.find((row) => row.with_user === partner);
const unreadText = () => (list.unread ? count(list.unread, 'unread', 'unread') : 'Nothing unread');

// The row of a partner, else New message.
const focusRow = (partner) => (list.nodes.get(partner)?.firstChild ?? list.create).focus();

const get = (page, options) => call('GET', `/inbox?page=${page}&limit=${PAGE}&unread_only=${list.onlyUnread}`, options);

// Asks for what is new. Gives the rows with messages that were not there before, or null where nothing changed.
async function refresh(background) {
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
  Object.assign(list, { rows, total, unread, loaded: true, answers: list.answers + 1 });
  list.state.replaceChildren();
  render();
}

// What the page does itself shows before the service is asked again.
function lower(partner, n) {
  list.reads += 1;
  list.etag = '';
  const row = rowOf(partner);
  if (!row) return;
  const lowered = Math.min(n, row.unread_count);
  row.unread_count -= lowered;
  list.unread -= lowered;
  render();
}

// An answer that was taken while a message was marked may know of it already.
addEventListener('marking', ({ detail: mark }) => { mark.answers = list.answers; });
addEventListener('read', ({ detail: { partner, answers } }) => {
  const isKnown = answers !== list.answers;
  lower(partner, isKnown ? 0 : 1);
  if (isKnown) emit('pollnow');
});
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

function showFailed(at) {
  if (list?.loaded === false) list.state.replaceChildren(loadFailed('Your conversations could not be loaded', at, load));
}

async function loadMore() {
  let answer;
  try {
    answer = await get(Math.floor(list.rows.length / PAGE) + 1);
  } catch {
    list.state.replaceChildren(serviceAway());
    return;
  }
  const fresh = answer.conversations.filter((row) => !rowOf(row.with_user));
  take(answer, [...list.rows, ...fresh]);
  announce(count(fresh.length, 'more conversation'));
  if (fresh.length) focusRow(fresh[0].with_user);
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
  ? [h('p', h('strong', 'Nothing unread')), h('p', 'You have read everything.'), button('Show all conversations', () => filter(false))]
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
