// The page: which view is shown, the way from one to the other, and what happens when a session begins and ends.
import { accountMenu } from './account.js';
import { embedded, events } from './api.js';
import { focusNew, newMessage, wasSent } from './compose.js';
import * as conversation from './conversation.js';
import { announce, banner, byId, h, note, retitle, say, shown } from './dom.js';
import * as idle from './idle.js';
import * as inbox from './inbox.js';
import { endedNote, showLogin, showMustChange } from './login.js';
import * as outbox from './outbox.js';
import * as polling from './polling.js';
import { isAdmin, isStillMe, leave, logout, me, restore } from './session.js';
import { T } from './texts.js';
import { clock } from './times.js';

const TABS = { '#/': 'Inbox', '#/look-up': 'Look-up', '#/audit': 'Audit', '#/accounts': 'Accounts' };

let left = null;

function begin() {
  if (me.mustChange) return showMustChange(begin);
  const main = byId('main');
  const list = inbox.createInbox();
  if (!embedded) byId('bar').append(accountMenu(endByPerson));
  showTabs();
  main.replaceChildren(h('h1', { class: 'unseen' }, T.title), list);
  idle.watch(() => endByPerson(false));
  polling.start(ask, reportPolling);
  inbox.load().then(() => inbox.isShown() && announce(inbox.unreadText()));
  outbox.resume();
  route();
  return null;
}

function showTabs() {
  const tabs = Object.entries(TABS).filter(([hash]) => !embedded || hash !== '#/accounts');
  byId('tabs').hidden = !isAdmin();
  byId('tabs').replaceChildren(...tabs.map(([hash, label]) => h('a', { href: hash }, label)));
}

/** Takes everything of a session from the document. */
function clear() {
  polling.stop();
  idle.stop();
  outbox.clear();
  conversation.closeConversation();
  inbox.discard();
  for (const box of document.querySelectorAll('dialog')) box.close();
  for (const id of ['main', 'banners', 'tabs', 'live']) byId(id).replaceChildren();
  byId('bar').querySelector('.menu')?.remove();
  byId('tabs').hidden = true;
  byId('skip').hidden = true;
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
  ending.catch(() => byId('main').querySelector('form')?.before(endedNote('no_answer')));
}

events.addEventListener('ended', ({ detail }) => end(detail || 'unauthorized'));
events.addEventListener('mustchange', () => { clear(); showMustChange(begin); });

// Polling.

async function ask() {
  const arrived = await inbox.refresh({ background: true });
  if (arrived) inbox.announceArrivals(arrived, conversation.openPartner());
  await conversation.refresh(Boolean(arrived));
}

function reportPolling(error, at) {
  if (!error) return banner('service', null);
  const offline = !navigator.onLine;
  if (inbox.isShown()) inbox.showFailed(at);
  return banner('service', note('warn', '', say(offline ? T.offline : T.away, { time: clock(at) }), { role: 'status' }));
}

addEventListener('offline', () => me.username && reportPolling(true, Date.now()));
addEventListener('pollnow', polling.poll);

// Views.

const parse = (hash) => {
  const [, view = '', name = ''] = /^#\/([a-z-]*)(?:\/(.*))?$/.exec(hash) ?? [];
  try {
    return { view, name: decodeURIComponent(name) };
  } catch {
    return { view: '', name: '' };
  }
};

async function route() {
  if (!me.username || me.mustChange) return;
  const { view, name } = parse(location.hash);
  const wasOpen = left;
  left = view === 'conversation' ? name : null;
  conversation.closeConversation();
  const isAdminView = Object.hasOwn(TABS, `#/${view}`) && view && isAdmin();
  for (const tab of byId('tabs').children) {
    const isCurrent = tab.hash === (isAdminView ? `#/${view}` : '#/');
    if (isCurrent) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  document.body.dataset.view = isAdminView ? 'admin' : 'inbox';
  if (isAdminView) return showAdmin(view);
  showInbox(view, name, wasOpen);
}

async function showAdmin(view) {
  byId('main').dataset.view = 'admin';
  byId('skip').hidden = true;
  const { adminPage } = await import('./admin.js');
  if (me.username && parse(location.hash).view === view) byId('main').replaceChildren(adminPage(view));
  byId('main').querySelector('h1')?.focus();
}

function showInbox(view, name, wasOpen) {
  const main = byId('main');
  if (!inbox.isShown()) main.replaceChildren(h('h1', { class: 'unseen' }, T.title), inbox.node());
  main.querySelector('.thread')?.remove();
  const isThread = view === 'new' || (view === 'conversation' && name);
  main.dataset.view = isThread ? 'thread' : 'list';
  document.body.dataset.view = main.dataset.view;
  byId('skip').hidden = !isThread;
  if (view === 'new') main.append(newMessage());
  else if (isThread) main.append(conversation.openConversation(name));
  else main.append(h('section', { class: 'thread none' }, h('p', { class: 'hint' }, T.nothingChosen)));
  inbox.setCurrent(isThread && view !== 'new' ? name : '');
  if (view === 'new') focusNew();
  else if (isThread) conversation.focusConversation();
  else if (wasOpen) inbox.focusRow(wasOpen);
  else inbox.focusHeading();
}

addEventListener('hashchange', route);
addEventListener('deleted', ({ detail: partner }) => {
  left = null;
  location.hash = '#/';
  announce(`Conversation with ${shown(partner)} deleted`);
  polling.poll();
});
outbox.events.addEventListener('sent', ({ detail: { partner } }) => {
  if (wasSent(partner) && parse(location.hash).view === 'new') {
    location.hash = `#/conversation/${encodeURIComponent(partner)}`;
    announce(`Sent to ${shown(partner)}`);
  }
  polling.poll();
});
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('main').querySelector('.thread h2')?.focus();
});

// The life of the document.

async function start() {
  clear();
  try {
    if (await restore()) begin();
    else showLogin(begin);
  } catch {
    showLogin(begin, 'no_answer');
  }
}

// Nothing stays for the Back button: a page that is left is emptied, one that comes back starts again.
addEventListener('pagehide', clear);
addEventListener('pageshow', (event) => { if (event.persisted) start(); });
document.addEventListener('visibilitychange', async () => {
  if (embedded && me.username && !document.hidden && !await isStillMe().catch(() => true)) location.reload();
});
start();
