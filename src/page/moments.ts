/**
 * Moments and spans in words. Moments are the board's, whose clock may be
 * wrong; so spans are counted from when the snapshot was taken, by the same clock.
 */

/** How whoever looks counts hours: a browser has a zone, and the board has none worth knowing. */
export type Zone = "utc" | "local";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `0.3 s`, `42 s`, `3 min`, `2 h 5 min`, `4 d 1 h`. */
export function span(seconds: number): string {
  const whole = Math.max(0, seconds);
  if (whole < 10) return `${Math.round(whole * 10) / 10} s`;
  if (whole < 2 * MINUTE) return `${Math.round(whole)} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY) return pair(whole, HOUR, "h", MINUTE, "min");
  return pair(whole, DAY, "d", HOUR, "h");
}

/** The day only where it is another one than that of `now`. */
export function moment(iso: string, now: string, zone: Zone): string {
  const parts = partsOf(iso, zone);
  if (!parts) return iso;
  const time = [parts.hours, parts.minutes, parts.seconds].map((each) => String(each).padStart(2, "0"));
  const day = parts.day === partsOf(now, zone)?.day ? "" : `${parts.day} `;
  return `${day}${time.join(":")}${zone === "utc" ? " UTC" : ""}`;
}

export function secondsBetween(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / 1000;
}

function pair(seconds: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeUnit}${rest === 0 ? "" : ` ${rest} ${smallUnit}`}`;
}

function partsOf(iso: string, zone: Zone) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return undefined;
  const utc = zone === "utc";
  const month = MONTHS[utc ? at.getUTCMonth() : at.getMonth()];
  return {
    day: `${utc ? at.getUTCDate() : at.getDate()} ${month}`,
    hours: utc ? at.getUTCHours() : at.getHours(),
    minutes: utc ? at.getUTCMinutes() : at.getMinutes(),
    seconds: utc ? at.getUTCSeconds() : at.getSeconds(),
  };
}
