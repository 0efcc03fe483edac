// Dates as the page writes them, and as a person types them.
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];

/** '2024-05' -> 'May 2024'. */
export const monthName = (month) => {
  const [year, number] = month.split('-');
  return `${MONTHS[Number(number) - 1] ?? number} ${Number(year)}`;
};

/** '2024-05-03' -> '3 May 2024'. */
export const dayName = (date) => `${Number(date.slice(8, 10))} ${monthName(date.slice(0, 7))}`;

/** '2024', '2024-05' or '2024-05-03' of what was typed, as '3 May 2024' or 'may 24'; else null. */
export function typedDate(text) {
  const words = text.trim().toLowerCase().split(/[\s,./-]+/).filter(Boolean);
  const named = words.findIndex((word) => word.length >= 3 && MONTHS.some((month) => month.toLowerCase().startsWith(word)));
  let month = null;
  if (named >= 0) {
    const [word] = words.splice(named, 1);
    month = 1 + MONTHS.findIndex((name) => name.toLowerCase().startsWith(word));
  }
  if (!words.length || words.length > 3 || !words.every((word) => /^\d{1,4}$/.test(word))) return null;
  const place = words.findIndex((word) => word.length === 4);
  if (place < 0) return null;
  const [year] = words.splice(place, 1);
  let numbers = words.map(Number);
  // 2024-05-03 has its month first, 3.5.2024 its day: as the year stands.
  if (month === null && numbers.length) {
    month = place === 0 ? numbers[0] : numbers.at(-1);
    numbers = place === 0 ? numbers.slice(1) : numbers.slice(0, -1);
  }
  const [day = null, ...rest] = numbers;
  if (rest.length || (month !== null && !(month >= 1 && month <= 12)) || (day !== null && !(day >= 1 && day <= 31))) return null;
  const two = (number) => String(number).padStart(2, '0');
  return [year, month && two(month), day && two(day)].filter(Boolean).join('-');
}
