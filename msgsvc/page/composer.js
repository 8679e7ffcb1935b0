// The composer: the form in which somebody writes to one partner, and what it says about the state of sending.
import * as drafts from './drafts.js';
import { announce, bdi, button, count, h, newId, note, say } from './dom.js';
import * as outbox from './outbox.js';
import { isPatient, mayWrite } from './session.js';
import { T } from './texts.js';
import { clock } from './times.js';

const LIMIT = 5000;
const SUBJECT_LIMIT = 100;
const SAID_AT = [200, 50, 10];

/** The note for a rule that forbids writing, or null where the refusal is something else. */
export function ruleNote(code, partner, role) {
  const elsewhere = { role: role && 'status', buttons: [button(T.writeElse, () => { location.hash = '#/new'; })] };
  const name = { name: partner };
  if (!mayWrite()) return note('warn', T.outside, T.outsideText);
  if (code === 'reply_only') return note('warn', say(T.replyOnly, name), say(T.replyOnlyText, name), elsewhere);
  if (code === 'recipient_not_found') return note('warn', say(T.nobodyCalled, name), T.checkName, elsewhere);
  if (code !== 'not_allowed' && code !== 'role_not_allowed') return null;
  return isPatient()
    ? note('warn', say(T.notAllowed, name), say(T.notAllowedText, name), elsewhere)
    : note('warn', say(T.accountClosed, name), say(T.accountClosedText, name));
}

/**
 * A composer for a partner. `isNew`: with label and subject field as for a first message. `newest()` is the newest
 * message known of the conversation; `look()` loads what is newer and says whether a draft is there already.
 */
export function composer(partner, { isNew = false, newest = () => 0, look = async () => false } = {}) {
  const draft = drafts.read(partner);
  const text = h('textarea', { id: newId(), rows: isNew ? 6 : 2, dir: 'auto' });
  const subject = h('input', { id: newId(), dir: 'auto', autocomplete: 'off' });
  const status = h('p', { id: newId(), class: 'hint status' });
  const notes = h('div', { class: 'notes' });
  const send = h('button', { class: 'primary' }, T.send);
  const edit = button(T.edit, stopAndLook);
  const addSubject = button(T.addSubject, () => { showSubject(true); subject.focus(); }, 'quiet');
  const subjectField = h('div', { class: 'field' }, h('label', { for: subject.id }, T.subject), subject);
  const label = h('label', { for: text.id }, isNew ? T.yourMessage : say(T.writeTo, { name: partner }));
  const head = isNew ? [subjectField, label] : [h('div', { class: 'label' }, label, addSubject), subjectField];
  const node = h('form', { class: isNew ? 'composer new' : 'composer', novalidate: true, onsubmit: submit, onkeydown: keys },
    notes, head, text, h('div', { class: 'foot' }, status, edit, send));
  text.setAttribute('aria-describedby', status.id);
  text.value = draft.content;
  subject.value = draft.subject;
  let kept = Boolean(draft.content || draft.subject);
  let said = 0;
  let slow = 0;

  function showSubject(open) {
    if (isNew) return;
    subjectField.hidden = !open;
    addSubject.hidden = open;
  }

  const left = () => LIMIT - [...text.value].length;

  function countText() {
    const n = left();
    return n < 0 ? `${count(-n, 'character', 'characters')} too many` : `${count(n, 'character', 'characters')} left`;
  }

  function written() {
    const before = drafts.read(partner);
    const same = before.content === text.value && before.subject === subject.value;
    if (!same) kept = drafts.write(partner, { content: text.value, subject: subject.value });
    if (outbox.state(partner).phase === 'refused') outbox.edit(partner);
    text.toggleAttribute('aria-invalid', false);
    notes.replaceChildren();
    show();
    clearTimeout(said);
    said = setTimeout(() => { if (left() < 0 || SAID_AT.includes(left())) announce(countText()); }, 1000);
  }

  function complain(sentence) {
    notes.replaceChildren(note('bad', '', sentence, { role: 'alert' }));
    text.setAttribute('aria-invalid', 'true');
    text.focus();
  }

  function submit(event) {
    event.preventDefault();
    if (!['', 'refused'].includes(outbox.state(partner).phase)) return;
    if (left() < 0) return complain(say(T.tooLong, { n: -left() }));
    if (!text.value.trim()) return complain(T.writeFirst);
    if ([...subject.value].length > SUBJECT_LIMIT) return complain(`A subject has at most ${SUBJECT_LIMIT} characters.`);
    const before = drafts.read(partner);
    if (before.content !== text.value || before.subject !== subject.value) drafts.write(partner, { content: text.value, subject: subject.value });
    outbox.send(partner, newest());
    text.focus();
  }

  function keys(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) node.requestSubmit();
  }

  async function stopAndLook() {
    outbox.edit(partner);
    text.focus();
    const arrived = await look(drafts.read(partner)).catch(() => false);
    if (arrived) {
      drafts.write(partner, null);
      empty();
    } else notes.replaceChildren(note('', '', T.mayHaveArrived, { role: 'status' }));
  }

  function empty() {
    text.value = '';
    subject.value = '';
    kept = false;
    showSubject(false);
    notes.replaceChildren();
    show();
  }

  function show() {
    const { phase, at, refusal } = outbox.state(partner);
    const isBusy = phase === 'sending' || phase === 'unknown' || phase === 'waiting';
    text.readOnly = isBusy;
    subject.readOnly = isBusy;
    send.setAttribute('aria-disabled', isBusy);
    edit.hidden = phase !== 'unknown' && phase !== 'waiting';
    clearTimeout(slow);
    if (phase === 'sending') {
      status.replaceChildren('Sending…');
      slow = setTimeout(() => status.replaceChildren('Still sending. Your text is kept.'), 5000);
    } else if (phase === 'unknown') status.replaceChildren('Trying again…');
    else if (phase === 'waiting') status.replaceChildren(`Waiting until ${clock(at)}`);
    else status.replaceChildren(`${kept ? 'Kept in this tab. ' : ''}${countText()}`);
    if (phase) notes.replaceChildren(...[phaseNote(phase, at, refusal)].filter(Boolean));
  }

  function phaseNote(phase, at, refusal) {
    if (phase === 'unknown') return note('warn', T.unknown, T.unknownText, { role: 'status' });
    if (phase === 'waiting') return note('warn', say(T.sendsAt, { time: clock(at) }), T.sendsAtText, { role: 'status' });
    if (phase !== 'refused') return null;
    const { status: code, message } = refusal;
    if (code >= 500) return note('bad', T.notSent, say(T.notSentText), { role: 'alert' });
    return ruleNote(refusal.code, partner, 'alert') ?? note('bad', T.notSent, message, { role: 'alert' });
  }

  function changed({ detail }) {
    if (detail !== partner) return;
    if (!node.isConnected) return outbox.events.removeEventListener('change', changed);
    const isSent = !drafts.read(partner).content && text.value && !outbox.state(partner).phase;
    if (isSent) empty();
    else show();
  }

  outbox.events.addEventListener('change', changed);
  text.addEventListener('input', written);
  subject.addEventListener('input', written);
  showSubject(Boolean(draft.subject));
  show();
  return { node, focus: () => text.focus(), hasText: () => Boolean(text.value) };
}

export const pickedBox = (partner, role, onagain) => h('div', { class: 'picked' },
  h('span', {}, h('b', {}, bdi(partner)), ' ', h('span', { class: 'hint' }, role)), button(T.chooseElse, onagain, 'quiet'));
