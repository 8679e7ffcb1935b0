// Times in words: absolute, local, 24 hours.
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

const two = (n) => String(n).padStart(2, '0');
const month = (date) => MONTHS[date.getMonth()];
const shortDay = (date) => `${date.getDate()} ${month(date).slice(0, 3)}`;

export const clock = (time) => { const date = new Date(time); return `${two(date.getHours())}:${two(date.getMinutes())}`; };
export const dayKey = (time) => new Date(time).toDateString();
export const longDay = (time) => { const d = new Date(time); return `${DAYS[d.getDay()]} ${d.getDate()} ${month(d)} ${d.getFullYear()}`; };
export const dayAndMonth = (time) => { const d = new Date(time); return `${d.getDate()} ${month(d)}`; };
export const fullDate = (time) => { const d = new Date(time); return `${shortDay(d)} ${d.getFullYear()}`; };
export const stamp = (time) => `${fullDate(time)}, ${clock(time)}:${two(new Date(time).getSeconds())}`;

/** 08:02 today, else 4 Feb, else 12 Dec 2025. */
export function listTime(time) {
  const date = new Date(time);
  const now = new Date();
  if (dayKey(date) === dayKey(now)) return clock(date);
  return date.getFullYear() === now.getFullYear() ? shortDay(date) : fullDate(date);
}
