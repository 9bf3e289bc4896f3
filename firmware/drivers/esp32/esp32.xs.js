/** What the SDK does not offer of ESP-IDF, in esp32.c: reset reason, watchdog, memory that a reset keeps, the boot loader's trial. */
const resetReason = function () @ "xs_esp32_resetReason";
const restart = function () @ "xs_esp32_restart";
const watchdogStart = function (timeoutMs) @ "xs_esp32_watchdogStart";
const watchdogFeed = function () @ "xs_esp32_watchdogFeed";
const retainedSize = function () @ "xs_esp32_retainedSize";
const retainedRead = function () @ "xs_esp32_retainedRead";
const retainedWrite = function (bytes) @ "xs_esp32_retainedWrite";
const freeBytes = function () @ "xs_esp32_freeBytes";
const totalBytes = function () @ "xs_esp32_totalBytes";
const print = function (line) @ "xs_esp32_print";
const isOnTrial = function () @ "xs_esp32_isOnTrial";
const confirm = function () @ "xs_esp32_confirm";
const rollBack = function () @ "xs_esp32_rollBack";
/* The C of the SDK's own `notify`, which takes a callback; its JavaScript (8.2.3) does not pass one on. */
const bleNotify = function (characteristic, value, onSent) @ "xs_gattserverconnection_notify";
const bleTerminate = function (connection) @ "xs_esp32_bleTerminate";

export const esp32 = Object.freeze({
  resetReason,
  restart,
  watchdogStart,
  watchdogFeed,
  retainedSize,
  retainedRead,
  retainedWrite,
  freeBytes,
  totalBytes,
  print,
  isOnTrial,
  confirm,
  rollBack,
  bleNotify,
  bleTerminate,
});
