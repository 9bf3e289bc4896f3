/** Settings that would do nothing where the records are in PostgreSQL: refused at the start, not passed over in silence. */
import { type Config, SETTINGS, type SettingName } from "./settings.ts";

interface IdleKind {
  readonly isOf: (name: SettingName) => boolean;
  readonly why: string;
}

const OF_A_FILE: readonly IdleKind[] = [
  {
    isOf: (name) =>
      ["backup.snapshot_file", "backup.snapshot_every_hours", "backup.stream_seconds"].includes(
        name,
      ),
    why: "the store is copied with PostgreSQL's own tools (pg_basebackup, WAL archiving)",
  },
];
const OF_ONE_PROCESS: readonly IdleKind[] = [
  {
    isOf: (name) => name.startsWith("settlement."),
    why: "settlement is the work of a gateway of one process (without worker.name)",
  },
  {
    isOf: (name) =>
      [
        "devices.ask_seconds",
        "devices.silent_hours",
        "alerts.device_percent",
        "alerts.flash_payments",
        "mqtt.config_folder",
        "mqtt.pid_file",
      ].includes(name),
    why: "the fleet is managed by a gateway of one process (without worker.name)",
  },
];

/** What was set to something else than it usually is, and does nothing; each with why. */
export function idleSettings(config: Config): readonly string[] {
  const isShared = config["worker.name"] !== undefined;
  const kinds = [...OF_A_FILE, ...(isShared ? OF_ONE_PROCESS : [])];
  const names = Object.keys(SETTINGS) as SettingName[];
  const where = isShared ? "with PostgreSQL and worker.name" : "with PostgreSQL";
  return kinds.flatMap(({ isOf, why }) => {
    const set = names.filter((name) => isOf(name) && !isUsual(config, name));
    return set.map((name) => `${name} does nothing ${where}: ${why}; leave it away`);
  });
}

/** For the log: what a gateway on SQLite does unasked, and this one does not. */
export function idleWarnings(config: Config): readonly string[] {
  if (!config["tower.serve"] || config["worker.name"] === undefined) return [];
  const advice = "run a tower as a gateway of its own, or set tower.serve = false";
  return [`tower.serve does nothing with worker.name, this gateway is no watchtower: ${advice}`];
}

function isUsual(config: Config, name: SettingName): boolean {
  const setting = SETTINGS[name];
  const usual = "usual" in setting ? setting.usual : undefined;
  return JSON.stringify(config[name]) === JSON.stringify(usual);
}
