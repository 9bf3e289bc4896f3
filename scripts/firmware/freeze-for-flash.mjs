/** A Rollup plugin: whatever a module holds after loading is frozen and constant, so that the SDK's linker leaves it in flash without a word of RAM. */

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);
/** What these make is frozen already or is no object. */
const PLAIN = new Set([
  ...FUNCTIONS,
  ...["BinaryExpression", "ClassExpression", "Identifier", "Literal", "TemplateLiteral"],
  ...["UnaryExpression"],
]);
const CHANGERS = new Set(["push", "pop", "shift", "splice", "sort", "reverse", "fill"]);

/** For the chunks that are preloaded: what `isPreloaded` says of the chunk's name. */
export function freezeForFlash(isPreloaded) {
  return {
    name: "freeze-for-flash",
    renderChunk(code, { name }) {
      if (!isPreloaded(name)) return null;
      const tree = this.parse(code);
      // Within lines only: the source map's lines stay right.
      return { code: insert(code, [...constants(tree), ...factories(tree, code)]), map: null };
    },
  };
}

/** `const x = {…}` of the module becomes `const x = Object.freeze({…}, true)`, which XS does deeply. */
function* constants({ body }) {
  for (const statement of body) {
    const declaration = statement.declaration ?? statement;
    if (declaration.type !== "VariableDeclaration") continue;
    for (const { init } of declaration.declarations) yield* frozen(init);
  }
}

function* frozen(init) {
  if (!init || PLAIN.has(init.type)) return;
  yield [init.start, "Object.freeze("];
  yield [init.end, ", true)"];
}

/** Functions that are called while the module loads, and leave closures: what these hold lives as long as they do. */
function* factories(tree, code) {
  const called = new Set();
  for (const { callee, arguments: given } of callsAtLoading(tree)) {
    called.add(callee.name);
    for (const argument of given) if (isLiteral(argument)) yield* frozen(argument);
  }
  for (const [name, made] of functionsOf(tree)) {
    if (!called.has(name)) continue;
    yield* constantParameters(made, code);
    if (made.body.type === "BlockStatement") yield* frozenLocals(made);
  }
}

function* callsAtLoading(node) {
  if (FUNCTIONS.has(node.type)) return;
  if (node.type === "CallExpression" && node.callee.type === "Identifier") yield node;
  for (const child of childrenOf(node)) yield* callsAtLoading(child);
}

function* functionsOf({ body }) {
  for (const statement of body) {
    const declaration = statement.declaration ?? statement;
    if (declaration.type === "FunctionDeclaration") yield [declaration.id.name, declaration];
    if (declaration.type !== "VariableDeclaration") continue;
    for (const { id, init } of declaration.declarations) {
      if (init && FUNCTIONS.has(init.type)) yield [id.name, init];
    }
  }
}

const isLiteral = ({ type }) => type === "ArrayExpression" || type === "ObjectExpression";

/** A parameter can be assigned, a constant of its value cannot. */
function* constantParameters({ params, body, end }, code) {
  const captured = namesInClosures(body);
  const assigned = changedNames(body);
  const copies = [];
  for (const param of params) {
    const target = param.type === "AssignmentPattern" ? param.left : param;
    if (target.type !== "Identifier" || !captured.has(target.name)) continue;
    if (assigned.has(target.name)) continue;
    yield [target.end, "$given"];
    copies.push(`${target.name} = ${target.name}$given`);
  }
  if (copies.length === 0) return;
  const constants = `const ${copies.join(", ")};`;
  if (body.type === "BlockStatement") {
    yield [body.start + 1, ` ${constants}`];
    return;
  }
  const arrow = code.indexOf("=>", params.at(-1).end) + 2;
  yield [arrow, ` { ${constants} return (`];
  yield [end, "); }"];
}

function* frozenLocals({ body }) {
  const captured = namesInClosures(body);
  const changed = changedNames(body);
  for (const statement of body.body) {
    if (statement.type !== "VariableDeclaration" || statement.kind !== "const") continue;
    for (const { id, init } of statement.declarations) {
      if (!captured.has(id.name) || changed.has(id.name)) continue;
      yield* frozen(init);
    }
  }
}

function namesInClosures(body) {
  const names = new Set();
  const visit = (node, isInside) => {
    if (isInside && node.type === "Identifier") names.add(node.name);
    for (const child of childrenOf(node)) visit(child, isInside || FUNCTIONS.has(node.type));
  };
  visit(body, false);
  return names;
}

/** Assigned, or changed within. */
function changedNames(body) {
  const names = new Set();
  const root = (node) => (node.type === "MemberExpression" ? root(node.object) : node.name);
  const visit = (node) => {
    if (node.type === "AssignmentExpression") names.add(root(node.left));
    if (node.type === "UpdateExpression") names.add(root(node.argument));
    if (node.type === "CallExpression" && CHANGERS.has(node.callee.property?.name)) {
      names.add(root(node.callee));
    }
    for (const child of childrenOf(node)) visit(child);
  };
  visit(body);
  return names;
}

function childrenOf(node) {
  return Object.values(node)
    .flat()
    .filter((value) => typeof value?.type === "string");
}

function insert(code, insertions) {
  const sorted = insertions.sort(([a], [b]) => a - b);
  let at = 0;
  let out = "";
  for (const [position, text] of sorted) {
    out += code.slice(at, position) + text;
    at = position;
  }
  return out + code.slice(at);
}
