/**
 * Which board this is. Its pins and lamps are read from `board/` by the panel.
 */
import { readFileSync } from "node:fs";

const COMPATIBLE = "/proc/device-tree/compatible";

/**
 * The board's name for the status: as configured, or for `auto` what its device
 * tree says first, such as `raspberrypi,4-model-b`. A PC has none.
 */
export function boardName(
  configured: string,
  readCompatible: () => string = () => readFileSync(COMPATIBLE, "latin1"),
): string {
  if (configured !== "auto") return configured;
  try {
    return readCompatible().split("\0")[0] || "none";
  } catch {
    return "none";
  }
}
