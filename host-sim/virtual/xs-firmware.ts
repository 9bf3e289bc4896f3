/** What a virtual device in XS takes from the firmware: the entry of the bundle that is frozen there. */
import { nativeCrypto, nativeEntropy } from "../../firmware/crypto/native.ts";
import { recordCrash, startProgram } from "../../firmware/program.ts";

export const firmware = { nativeCrypto, nativeEntropy, recordCrash, startProgram } as const;
