// The account menu: who is logged in, the password, the people one has blocked, logging out.
import { call, path } from './api.js';
import { announce, bdi, button, dialog, formDialog, h, menu, passwordFields, say, shown, sorry, unseen } from './dom.js';
import { newPasswordFields, passwordRefused } from './login.js';
import { changePassword, me } from './session.js';
import { T, roleName } from './texts.js';
import { fullDate } from './times.js';

export function accountMenu(onlogout) {
  const opener = h('button', { type: 'button', class: 'account' }, unseen('Account '), bdi(me.username));
  return menu(opener,
    h('p', { class: 'who' }, h('b', {}, bdi(me.username)), h('span', {}, roleName(me.role))),
    button(T.changePassword, passwordDialog), button(T.blocks, blocksDialog),
    button(T.logout, () => onlogout(false), 'rule'), button(T.logoutAll, () => onlogout(true)));
}

function passwordDialog() {
  const { current, chosen, fields } = newPasswordFields();
  formDialog(T.changePassword, [passwordFields(...fields), h('p', { class: 'hint' }, T.othersOut)], T.changePassword, async () => {
    await changePassword(current.value, chosen.value);
    announce(T.passwordChanged);
  }, passwordRefused);
}

async function blocksDialog() {
  let blocks;
  try {
    ({ blocks } = await call('GET', '/blocks'));
  } catch {
    return sorry();
  }
  const list = h('ul', { role: 'list', class: 'people' });
  const body = h('div', {}, h('p', {}, blocks.length ? T.blocksText : T.noBlocks), list);
  const box = dialog(T.blocks, body, [button(T.close, () => box.close(), '', { autofocus: true })]);
  for (const { username, blocked_at: at } of blocks) {
    const row = h('li', {}, h('span', {}, bdi(username), say(T.since, { time: fullDate(at) })),
      button([T.unblock, unseen(` ${shown(username)}`)], async () => {
        try {
          await call('DELETE', path`/blocks/${username}`);
        } catch {
          return sorry();
        }
        announce(`${shown(username)} is no longer blocked`);
        row.remove();
        if (!list.children.length) body.firstChild.replaceChildren(T.noBlocks);
        box.querySelector('button').focus();
        dispatchEvent(new CustomEvent('unblocked', { detail: username }));
      }));
    list.append(row);
  }
}
