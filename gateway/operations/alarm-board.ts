/** Every alarm of a gateway in one place, of itself and of its fleet: what is raised now, since when, and what was told. */

export interface Alarm {
  readonly name: string;
  /** What happened, to what, and what to do. */
  readonly text: string;
  /** Where it is about one channel, … */
  readonly channelId?: string;
  /** … or one device. */
  readonly nodeId?: string;
}

export interface RaisedAlarm extends Alarm {
  readonly since: Date;
}

/** Something that is told once: it has no end that could be told. */
export interface Notice {
  readonly at: Date;
  readonly text: string;
}

export interface AlarmBoardOptions {
  now(): Date;
  onRaised(alarm: Alarm): void;
  onCleared(alarm: Alarm): void;
  onNotice(text: string): void;
}

/** The newest so many. */
const MAX_NOTICES = 50;

export class AlarmBoard {
  /** By who looks; in each by name and channel. */
  private readonly raised = new Map<string, Map<string, RaisedAlarm>>();
  private readonly told: Notice[] = [];

  constructor(private readonly options: AlarmBoardOptions) {}

  /** The oldest first. */
  get current(): readonly RaisedAlarm[] {
    const all = [...this.raised.values()].flatMap((alarms) => [...alarms.values()]);
    return all.sort((a, b) => a.since.getTime() - b.since.getTime());
  }

  /** The newest first. */
  get notices(): readonly Notice[] {
    return [...this.told].reverse();
  }

  of(scope: string): readonly RaisedAlarm[] {
    return [...(this.raised.get(scope)?.values() ?? [])];
  }

  /** What `scope` found among those names: raises what is new, renews the words of what stays, clears what is gone. */
  settle(scope: string, names: readonly string[], found: readonly Alarm[]): void {
    const before = this.raised.get(scope);
    if (!before && found.length === 0) return; // most devices, at each look
    const alarms = before ?? new Map<string, RaisedAlarm>();
    this.raised.set(scope, alarms);
    const now = new Map(found.map((alarm) => [keyOf(alarm), alarm]));
    for (const [key, alarm] of [...alarms]) {
      if (!names.includes(alarm.name) || now.has(key)) continue;
      alarms.delete(key);
      this.options.onCleared(alarm);
    }
    for (const [key, alarm] of now) {
      const since = alarms.get(key)?.since;
      alarms.set(key, { ...alarm, since: since ?? this.options.now() });
      if (!since) this.options.onRaised(alarm);
    }
    if (alarms.size === 0) this.raised.delete(scope);
  }

  notice(text: string): void {
    this.told.push({ at: this.options.now(), text });
    if (this.told.length > MAX_NOTICES) this.told.shift();
    this.options.onNotice(text);
  }
}

function keyOf({ name, channelId = "" }: Alarm): string {
  return `${name} ${channelId}`;
}
