// Sending: one attempt after another with the same Idempotency-Key until the outcome is known, whatever pane is open.
import { call } from './api.js';
import * as drafts from './drafts.js';

/** `change` (detail: the partner) and `sent` (detail: {partner, message}). */
export const events = new EventTarget();

const FIRST_RETRY = 2000;
const LONGEST_RETRY = 60_000;

const jobs = new Map();

/** How far the text for a partner is: phase '', 'sending', 'unknown', 'waiting' (until `at`) or 'refused' (`refusal`). */
export const state = (partner) => jobs.get(partner) ?? { phase: '' };

function set(partner, job) {
  clearTimeout(jobs.get(partner)?.timer);
  if (job) jobs.set(partner, job);
  else jobs.delete(partner);
  events.dispatchEvent(new CustomEvent('change', { detail: partner }));
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Sends the draft for a partner. `newest` is the newest message that is known of the conversation. */
export function send(partner, newest) {
  const draft = drafts.read(partner);
  drafts.write(partner, { ...draft, key: draft.key ?? newKey(), after: draft.after ?? newest, pending: true });
  attempt(partner, 0);
}

/** Goes on with what had no answer before a reload or a login. */
export function resume() {
  for (const partner of drafts.pending()) attempt(partner, 1);
}

/** The text goes back to its writer: no further attempt. */
export function edit(partner) {
  drafts.write(partner, { ...drafts.read(partner), pending: false });
  set(partner, null);
}

/** Ends all attempts; the drafts stay as they are. */
export function clear() {
  for (const { timer } of jobs.values()) clearTimeout(timer);
  jobs.clear();
}

async function attempt(partner, tries) {
  const draft = drafts.read(partner);
  const { key, subject, content } = draft;
  const job = { phase: tries ? 'unknown' : 'sending', tries };
  set(partner, job);
  try {
    if (!navigator.onLine && !tries) throw Object.assign(new Error(), { status: 503 });
    const body = { recipient: partner, content, ...(subject && { subject }) };
    const { message_id: id, sent_at: at } = await call('POST', '/send', { body, key, background: tries > 0 });
    if (drafts.read(partner).key !== key) return;
    drafts.write(partner, null);
    set(partner, null);
    const message = { id, content, subject: subject || null, is_read: false, read_at: null, sent_at: at };
    events.dispatchEvent(new CustomEvent('sent', { detail: { partner, message } }));
  } catch (refusal) {
    if (jobs.get(partner) === job) take(partner, tries, refusal);
  }
}

function take(partner, tries, refusal) {
  const again = (phase, wait) => {
    const at = Date.now() + wait;
    set(partner, { phase, at, tries: tries + 1, timer: setTimeout(() => attempt(partner, tries + 1), wait) });
  };
  const announced = (refusal.retryAt ?? 0) - Date.now();
  if (refusal.status === 429) again('waiting', Math.max(announced, 1000));
  else if (!refusal.status || (refusal.status >= 500 && tries)) {
    again('unknown', Math.max(announced, Math.min(FIRST_RETRY * 2 ** tries, LONGEST_RETRY)));
  } else {
    drafts.write(partner, { ...drafts.read(partner), pending: false });
    set(partner, { phase: 'refused', refusal });
  }
}

addEventListener('online', () => {
  for (const [partner, { phase, tries, timer }] of jobs) if (phase === 'unknown' && timer) attempt(partner, tries);
});
