/** Why a serial port does not open, and what to do about it. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { messageOf } from "../failure.ts";

/** A sentence; undefined where the port itself is fine. */
export async function explainPortError(path: string, cause: unknown): Promise<string | undefined> {
  const text = messageOf(cause);
  if (/vanished/.test(text) || (await isMissing(path))) {
    return `${path} is not there; plug the device in, and see picobolt devices for the ports that are`;
  }
  if (/permission denied|EACCES|access denied/i.test(text) || (await isForbidden(path))) {
    return `${path} may not be opened by you; on Linux: sudo usermod -aG dialout $USER, then log in again`;
  }
  if (/lock|busy|in use|EBUSY/i.test(text)) {
    return `${path} is in use by another program; close it (a monitor, ModemManager?) and try again`;
  }
  if (/ENOTTY|Inappropriate ioctl|not a (tty|serial)/i.test(text)) {
    return `${path} is no serial port; see picobolt devices for the ports that are`;
  }
  return undefined;
}

async function isMissing(path: string): Promise<boolean> {
  if (!path.startsWith("/")) return false; // COM3 is no file
  return stat(path).then(
    () => false,
    () => true,
  );
}

async function isForbidden(path: string): Promise<boolean> {
  if (!path.startsWith("/")) return false;
  return access(path, constants.R_OK | constants.W_OK).then(
    () => false,
    () => true,
  );
}
