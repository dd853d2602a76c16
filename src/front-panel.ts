/**
 * The panel at work: it shows how the board stands, and a press of its button
 * hands over or takes back. Which lamp says what is the panel's own business.
 */
import { join } from "node:path";
import { findBoard } from "./board.js";
import type { Config } from "./config.js";
import type { Faults } from "./faults.js";
import type { Group } from "./group.js";
import type { Identify } from "./identify.js";
import type { Maintenance } from "./maintenance.js";
import type { View } from "./panel/lamp.js";
import { openPanel, type Panel, type PanelView } from "./panel/panel.js";
import type { Press } from "./panel/press.js";
import { runtimeDirectory } from "./runtime.js";
import { overallRole } from "./status/snapshot.js";

export interface FrontPanel {
  snapshot(): PanelView;
  /** Something may look different now. */
  show(): void;
  /** The program is about to end: until the others serve, nobody is to pull the plug. */
  leave(): void;
  /** Another board or driver, if so. */
  reconfigure(config: Config): Promise<void>;
  close(end: "stopped" | "powered-off"): Promise<void>;
}

export interface FrontPanelOptions {
  readonly config: Config;
  readonly groups: Iterable<Group>;
  readonly faults: Faults;
  /** What is worth the red lamp. */
  readonly troubles: () => readonly string[];
  readonly maintenance: Maintenance;
  readonly identify: Identify;
  /** The button was held: hand over, and let somebody turn the power off. */
  readonly onPowerOff: () => void;
  /** The panel itself has changed: its button, or a fault of it. */
  readonly onChange: () => void;
}

/** Many groups may change in one turn of the loop, and a lamp can wait for some milliseconds. */
const SHOW_MS = 10;

export function createFrontPanel(options: FrontPanelOptions): FrontPanel {
  const { groups, faults, maintenance, identify, onPowerOff } = options;
  let { config } = options;
  let showing: NodeJS.Timeout | undefined;
  let leaving = false;

  const onPress = (press: Press): void => {
    // Whoever presses has found the box, and wants to read whether it may be unplugged.
    identify.stop();
    if (press === "long") onPowerOff();
    // A second press during a handover calls it back.
    else maintenance.set(!maintenance.snapshot().on, { by: "the button" });
  };

  const show = (): void => {
    showing ??= setTimeout(() => {
      showing = undefined;
      faults.set("panel", panel.faults.join("; ") || undefined);
      if (panel.hasLamps) panel.show(view());
    }, SHOW_MS);
  };

  const view = (): View => {
    const carp = [...groups].map(({ vhost, undecided }) => ({ role: vhost.role, undecided }));
    return {
      role: overallRole(carp.map(({ role }) => role)),
      carp,
      maintenance: maintenance.snapshot(),
      identify: identify.snapshot().until !== null,
      leaving,
      faults: options.troubles(),
    };
  };

  const onChange = (): void => {
    show();
    options.onChange();
  };

  const open = (): Panel => {
    const { board, fault } = findBoard(config.board);
    faults.set("board", fault);
    const buttonSocket = join(runtimeDirectory(), "button");
    return openPanel({ board, driver: config.panel.driver, buttonSocket, onPress, onChange });
  };

  let panel = open();
  show();
  return {
    snapshot: () => panel.view(view()),
    show,
    leave() {
      leaving = [...groups].some(({ vhost }) => vhost.role === "master");
      show();
    },
    async reconfigure(next) {
      const same = config.board === next.board && config.panel.driver === next.panel.driver;
      config = next;
      if (same) return;
      await panel.close("replaced");
      panel = open();
      show();
    },
    async close(end) {
      clearTimeout(showing);
      await panel.close(end);
    },
  };
}
