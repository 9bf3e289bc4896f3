/** What the host board has of hardware, in host.c: NOR flash in files, pins as lines of text, a watchdog, a memory that resets keep. */
const serial = function (index) @ "xs_host_serial";
const flashSize = function (partition) @ "xs_host_flashSize";
const flashRead = function (partition, offset, out) @ "xs_host_flashRead";
const flashProgram = function (partition, offset, bytes) @ "xs_host_flashProgram";
const flashErase = function (partition, sector) @ "xs_host_flashErase";
const print = function (line) @ "xs_host_print";
const onLine = function (callback) @ "xs_host_onLine";
const resetReason = function () @ "xs_host_resetReason";
const restart = function () @ "xs_host_restart";
const watchdog = function (timeoutMs) @ "xs_host_watchdog";
const retainedRead = function () @ "xs_host_retainedRead";
const retainedWrite = function (bytes) @ "xs_host_retainedWrite";
const usedBytes = function () @ "xs_host_usedBytes";

export const host = Object.freeze({
  serial,
  flashSize,
  flashRead,
  flashProgram,
  flashErase,
  print,
  onLine,
  resetReason,
  restart,
  watchdog,
  retainedRead,
  retainedWrite,
  usedBytes,
});
