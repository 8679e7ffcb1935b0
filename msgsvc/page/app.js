// The page: which view is shown, the way from one to the other, and what happens when a session begins and ends.
import { choosePerson, chosenPerson, embedded, path, poll, resumeSending, startPolling, stopPolling } from './service.js';
import { focusNew, newMessage } from './composer.js';
import * as conversation from './conversation.js';
import { announce, banner, byId, clock, find, h, note, retitle, shown } from './dom.js';
import * as inbox from './inbox.js';
import {
  accountMenu, endedNote, isAdmin, isStillMe, leave, logout, me, restore, showLogin, showMustChange, unwatch, watch,
} from './session.js';

const TABS = { '': 'Inbox', 'look-up': 'Look-up', audit: 'Audit', ...(!embedded && { accounts: 'Accounts' }) };

const main = byId('main');
const tabs = byId('tabs');
const skip = byId('skip');
let openBefore = null;

function begin() {
  if (me.mustChange) return showMustChange(begin);
  inbox.createInbox();
  if (!embedded) byId('bar').append(accountMenu(endByPerson));
  tabs.hidden = !isAdmin();
  tabs.replaceChildren(...Object.entries(TABS).map(([view, label]) => h('a', { href: `#/${view}` }, label)));
  watch(() => endByPerson(false));
  startPolling(ask, reportPolling);
  inbox.load().then(() => inbox.isShown() && announce(inbox.unreadText()));
  resumeSending();
  route();
  return null;
}

// Takes everything of a session from the document.
function clear() {
  stopPolling();
  unwatch();
  conversation.closeConversation();
  inbox.discard();
  for (const box of document.querySelectorAll('dialog')) box.remove();
  for (const id of ['main', 'banners', 'tabs', 'live']) byId(id).replaceChildren();
  find('.menu', byId('bar'))?.remove();
  tabs.hidden = true;
  skip.hidden = true;
  document.body.dataset.view = '';
  retitle({ unread: 0, soon: false });
}

function end(reason) {
  clear();
  leave();
  showLogin(begin, reason);
}

function endByPerson(everywhere) {
  clear();
  const ending = logout(everywhere);
  history.replaceState(null, '', '#/');
  showLogin(begin);
  ending.catch(() => find('.problem')?.append(endedNote('no_answer')));
}

addEventListener('ended', ({ detail }) => end(detail));
addEventListener('mustchange', () => { clear(); showMustChange(begin); });

// Polling.

async function ask() {
  const arrived = await inbox.refresh(true);
  if (arrived) inbox.announceArrivals(arrived, conversation.openPartner());
  await conversation.refresh(Boolean(arrived));
}

function reportPolling(error, at) {
  if (!error) return banner('service');
  inbox.showFailed(at);
  const text = navigator.onLine
    ? [h('strong', 'The service does not answer.'), ` What you see may be old. Next try at ${clock(at)}.`]
    : [h('strong', 'You are offline.'), ' You can go on writing; it is kept in this tab. The page looks for the network by itself.'];
  return banner('service', note('warn', '', text, 'status'));
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
  if (!me.username || me.mustChange) return;
  const [view, name] = parse();
  const isAdminView = Boolean(view) && Object.hasOwn(TABS, view) && isAdmin();
  const left = openBefore;
  openBefore = view === 'conversation' ? name : null;
  conversation.closeConversation();
  for (const tab of tabs.children) {
    if (tab.hash === `#/${isAdminView ? view : ''}`) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  if (isAdminView) showAdmin(view);
  else showInbox(view, name, left);
}

async function showAdmin(view) {
  main.dataset.view = document.body.dataset.view = 'admin';
  skip.hidden = true;
  const { adminPage } = await import('./admin.js');
  if (!me.username || parse()[0] !== view) return;
  main.replaceChildren(adminPage(view));
  find('h1').focus();
}

function showInbox(view, name, left) {
  const partner = view === 'conversation' ? name : '';
  const isThread = view === 'new' || partner;
  let pane = h('section.thread.none', h('p.hint', 'Choose a conversation to read it here.'));
  if (view === 'new') pane = newMessage();
  else if (partner) pane = conversation.openConversation(partner);
  if (!inbox.isShown()) main.replaceChildren(h('h1.unseen', 'Messages'), inbox.inboxNode());
  find('.thread')?.remove();
  main.append(pane);
  main.dataset.view = document.body.dataset.view = isThread ? 'thread' : 'list';
  skip.hidden = !isThread;
  inbox.setCurrent(partner);
  if (view === 'new') focusNew();
  else if (partner) conversation.focusConversation();
  else if (left) inbox.focusRow(left);
  else inbox.focusHeading();
}

addEventListener('hashchange', route);
addEventListener('deleted', ({ detail: partner }) => {
  openBefore = null;
  location.hash = '#/';
  announce(`Conversation with ${shown(partner)} deleted`);
  poll();
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
skip.addEventListener('click', (event) => {
  event.preventDefault();
  find('.thread h2').focus();
});

// The life of the document. Nothing stays for the Back button: a page that is left is emptied, one that comes back starts again.

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
start();
