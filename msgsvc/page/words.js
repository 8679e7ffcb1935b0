// Names, roles, numbers and times in words. Times are absolute, local, 24 hours.
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

export const ROLES = { user: 'Patient', therapist: 'Therapist', clinician: 'Clinician', admin: 'Administrator' };
export const isRole = (role) => Object.hasOwn(ROLES, role);
export const roleName = (role) => (isRole(role) ? ROLES[role] : '');

// Control and direction characters in a name become marks, so that they cannot turn the words around them.
export const shown = (name) => name.replace(/[\p{C}\u2028\u2029]/gu, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, 0)}]`);

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;

const two = (n) => String(n).padStart(2, 0);
const date = (time) => new Date(time);
export const clock = (time) => `${two(date(time).getHours())}:${two(date(time).getMinutes())}`;
export const dayKey = (time) => date(time).toDateString();
export const dayAndMonth = (time) => `${date(time).getDate()} ${MONTHS[date(time).getMonth()]}`;
export const longDay = (time) => `${DAYS[date(time).getDay()]} ${dayAndMonth(time)} ${date(time).getFullYear()}`;
const shortDay = (time) => `${date(time).getDate()} ${MONTHS[date(time).getMonth()].slice(0, 3)}`;
export const fullDate = (time) => `${shortDay(time)} ${date(time).getFullYear()}`;
export const stamp = (time) => `${fullDate(time)}, ${clock(time)}:${two(date(time).getSeconds())}`;

// 08:02 today, else 4 Feb, else 12 Dec 2025.
export function listTime(time) {
  if (dayKey(time) === dayKey(Date.now())) return clock(time);
  return date(time).getFullYear() === new Date().getFullYear() ? shortDay(time) : fullDate(time);
}
