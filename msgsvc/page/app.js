// The page: its views, and what happens when a session begins and ends.
import { focusNew, newMessage } from './composer.js';
import * as conversation from './conversation.js';
import { announce, banner, byId, find, h, note, retitle, skipLink } from './dom.js';
import { createList, focusRow, forgetList, list, refresh, render, rowOf, showFailed, unreadText } from './inbox.js';
import { clock, shown } from './words.js';
import { choosePerson, chosenPerson, embedded, path, poll, resumeSending, startPolling, stopPolling } from './service.js';
import {
  accountMenu, endedNote, isAdmin, isStillMe, leave, logout, me, restore, showLogin, showMustChange, unwatch, watch,
} from './session.js';

const TABS = { '': 'Inbox', 'look-up': 'Look-up', audit: 'Audit', ...(!embedded && { accounts: 'Accounts' }) };

const main = byId('main');
const tabs = byId('tabs');
const skip = skipLink('Skip to the conversation', '.thread h2');
byId('bar').prepend(skip);
let openBefore = null;

// A session begins and ends.

function begin() {
  if (me.must_change_password) {
    forgetList();
    return showMustChange(begin);
  }
  if (!list) createList();
  if (!embedded) byId('bar').append(accountMenu());
  tabs.hidden = !isAdmin();
  tabs.replaceChildren(...Object.entries(TABS).map(([view, label]) => h('a', { href: `#/${view}` }, label)));
  watch();
  startPolling(ask, reportPolling);
  list.loading.then(() => isListShown() && list.loaded && announce(unreadText()));
  resumeSending();
  return route();
}

// Takes everything of a session from the document.
function clear() {
  stopPolling();
  unwatch();
  conversation.closeConversation();
  forgetList();
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
addEventListener('mustchange', () => {
  clear();
  me.must_change_password = true;
  // While the service has not said who this is, its answer leads here too.
  if (me.username) showMustChange(begin);
});

// Nothing stays for the Back button: a page that is left is emptied, one that comes back starts again.

async function start() {
  clear();
  try {
    await restore(createList);
    if (me.username) begin();
    else showLogin(begin);
  } catch {
    clear();
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

const isListShown = () => main.contains(list?.node);
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

start();
