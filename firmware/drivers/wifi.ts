/** Wi-Fi (`embedded:network/interface/wifi`): joins, joins again with growing pauses, and asks a time server once it has an address. */
import WiFi from "embedded:network/interface/wifi";
import SNTP from "sntp";
import type { Clock } from "../board.ts";
import type { WifiDriver } from "../links/drivers.ts";

/** ECMA-419: 500 has an address, 400 is associated, 300 is trying. */
const HAS_ADDRESS = 500;
const IDLE = 200;
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60_000;
/** Tries that never got an address before the password is doubted. */
const DOUBTFUL_TRIES = 3;

interface Wanted {
  readonly ssid: string;
  readonly password: string;
}

export function wifiDriver(clock: Clock, timeServer?: string): WifiDriver {
  let wanted: Wanted | undefined;
  let isJoined = false;
  let tries = 0;
  let cancel = () => {};

  const driver: WifiDriver = {
    onState: () => {},
    join(ssid, password) {
      leave();
      wanted = { ssid, password };
      tries = 0;
      connect();
    },
    leave,
    scan(onFound) {
      wifi.scan({
        onFound: ({ SSID, RSSI, ...rest }) =>
          onFound({ ssid: SSID, rssi: RSSI, isOpen: isOpen(rest) }),
        onComplete: () => onFound(undefined),
      });
    },
  };
  const wifi = new WiFi({ onChanged: () => changed() });

  function connect(): void {
    if (!wanted) return;
    tries += 1;
    const { ssid, password } = wanted;
    try {
      wifi.connect(password === "" ? { SSID: ssid } : { SSID: ssid, password });
    } catch {
      again();
    }
  }

  function again(): void {
    cancel();
    const pauseMs = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 10));
    cancel = clock.after(pauseMs, connect);
  }

  function leave(): void {
    cancel();
    const wasWanted = wanted !== undefined;
    wanted = undefined;
    isJoined = false;
    if (wasWanted) wifi.disconnect();
  }

  function changed(): void {
    const { connection } = wifi;
    if (connection >= HAS_ADDRESS) {
      if (isJoined) return;
      isJoined = true;
      tries = 0;
      driver.onState("joined");
      if (timeServer !== undefined && clock.nowSeconds() === undefined) askTime(timeServer);
      return;
    }
    if (connection > IDLE || !wanted) return;
    if (isJoined) driver.onState("left", "the network is gone");
    else if (tries === DOUBTFUL_TRIES) {
      driver.onState("refused", "no connection: is the password right, is the network in reach?");
    }
    isJoined = false;
    again();
  }

  function askTime(host: string): void {
    new SNTP({ host }, (message, seconds) => {
      if (message === SNTP.time && seconds !== undefined) clock.setSeconds?.(seconds);
    });
  }
  return driver;
}

/** Not in every version's results: absent counts as protected. */
function isOpen(rest: object): boolean {
  return (rest as { authentication?: unknown }).authentication === "none";
}
