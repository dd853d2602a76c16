/** Numbers as the demo says them. */

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.floor((ms / 1000) % 60)} s`;
}

export function count(value: number): string {
  return value.toLocaleString("en-GB");
}

export function packetsLost(lost: number): string {
  return `${count(lost)} packet${lost === 1 ? "" : "s"} lost`;
}
