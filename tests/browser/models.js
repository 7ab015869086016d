// Checkpoints to draw: headers with any keys, and data of zeros that takes no room on the disk.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

// Writes a safetensors file of `[key, shape]`, all float16.
function safetensors(file, tensors) {
  const header = {};
  let end = 0;
  for (const [key, shape] of tensors) {
    const start = end;
    end += 2 * shape.reduce((product, size) => product * size, 1);
    header[key] = { dtype: "F16", shape, data_offsets: [start, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  fs.writeFileSync(file, Buffer.concat([length, text]));
  fs.truncateSync(file, 8 + text.length + end);
}

// A mixture of experts of 5,000 keys, and rules of every kind.
function large(folder) {
  const tensors = [["model.embed.weight", [32000, 512]]];
  for (let layer = 0; layer < 96; layer++) {
    const at = `model.layers.${layer}`;
    for (const name of ["q", "k", "v", "o"]) tensors.push([`${at}.attn.${name}.weight`, [512, 512]]);
    for (const name of ["q", "k", "v", "o"]) tensors.push([`${at}.attn.${name}.bias`, [512]]);
    for (let expert = 0; expert < 12; expert++) {
      tensors.push([`${at}.moe.experts.${expert}.gate_up.weight`, [1024, 512]]);
      tensors.push([`${at}.moe.experts.${expert}.down.weight`, [512, 512]]);
    }
    tensors.push([`${at}.moe.router.weight`, [12, 512]]);
    for (const norm of ["ln_1", "ln_2"]) {
      for (const name of ["gamma", "beta"]) tensors.push([`${at}.${norm}.${name}`, [512]]);
    }
    for (const name of ["cos", "sin", "mask"]) tensors.push([`${at}.rotary.${name}`, [128, 32]]);
    for (const name of ["scale", "shift"]) {
      for (let part = 0; part < 6; part++) tensors.push([`${at}.adapter.${part}.${name}`, [512]]);
    }
  }
  tensors.push(["model.norm.gamma", [512]], ["model.norm.beta", [512]], ["classifier.weight", [2, 512]], ["classifier.bias", [2]]);
  safetensors(path.join(folder, "moe.safetensors"), tensors);
  fs.writeFileSync(
    path.join(folder, "moe.rules"),
    `# A mixture of experts after a refactor.
merge **.attn.{q,k,v}.weight -> **.self_attn.qkv.weight dim 0
merge **.attn.{q,k,v}.bias   -> **.self_attn.qkv.bias dim 0
rename **.attn.o.*           -> **.self_attn.out.*
split **.gate_up.weight      -> **.{gate,up}.weight dim 0
rename **.{gamma|beta}       -> **.{weight|bias}
rename **.moe.router.*       -> **.moe.gate.*
drop  **.rotary.*
cast  model.layers.{90|91|92|93|94|95}.adapter.** to f32
tie   model.embed.weight -> lm_head.weight
drop  classifier.**
fill  score.weight value 0 shape [1, 512] dtype f16
`,
  );
  return tensors.length;
}

// Keys that nobody should have.
function hostile(folder) {
  const keys = [
    "</script><script>document.documentElement.dataset.pwned = 1</script>",
    "<img src=x onerror=document.documentElement.dataset.pwned=1>",
    "a.\u0000\u0007\u001b[31m.\u202eweight",
    "{{plan}}.{{script}}",
    "__proto__.constructor.toString",
    "x".repeat(10000),
    Array(3000).fill("d").join("."),
    "a",
    "",
    ".",
    "..",
    "007.weight",
    "0.weight",
    "99999999999999999999.weight",
  ];
  safetensors(path.join(folder, "hostile.safetensors"), keys.map((key) => [key, [1]]));
  fs.writeFileSync(path.join(folder, "hostile.rules"), "rename a -> b  # </script>\n");
  return keys;
}

module.exports = { safetensors, large, hostile };
