// Roles, names, numbers and times in words. Times are absolute, local, 24 hours.

export const ROLES = { user: 'Patient', therapist: 'Therapist', clinician: 'Clinician', admin: 'Administrator' };
export const isRole = (role) => Object.hasOwn(ROLES, role);
export const roleName = (role) => (isRole(role) ? ROLES[role] : '');

// Control and direction characters in a name become marks, so that they cannot turn the words around them.
export const shown = (name) => name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, 0)}]`);

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;

const date = (time) => new Date(time);
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const month = (time) => MONTHS[date(time).getMonth()];
const weekday = (time) => ['Sun', 'Mon', 'Tues', 'Wednes', 'Thurs', 'Fri', 'Satur'][date(time).getDay()] + 'day';
const timeOfDay = (time, length) => date(time).toTimeString().slice(0, length);
export const clock = (time) => timeOfDay(time, 5);
export const dayKey = (time) => date(time).toDateString();
export const dayAndMonth = (time) => `${date(time).getDate()} ${month(time)}`;
export const longDay = (time) => `${weekday(time)} ${dayAndMonth(time)} ${date(time).getFullYear()}`;
const shortDay = (time) => `${date(time).getDate()} ${month(time).slice(0, 3)}`;
export const fullDate = (time) => `${shortDay(time)} ${date(time).getFullYear()}`;
export const stamp = (time) => `${fullDate(time)}, ${timeOfDay(time, 8)}`;

// 08:02 today, else 4 Feb, else 12 Dec 2025.
export function listTime(time) {
  if (dayKey(time) === dayKey(Date.now())) return clock(time);
  return date(time).getFullYear() === new Date().getFullYear() ? shortDay(time) : fullDate(time);
}

