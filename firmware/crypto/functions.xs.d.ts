/** The types of functions.xs.js, which is the module picobolt/native-functions in a Moddable build. */
declare module "picobolt/native-functions" {
  export const nativeFunctions: import("./native.ts").NativeFunctions;
}
