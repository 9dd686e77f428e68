// ONNX Runtime, through its package for Node.js, on a model that the scripts in
// torch exported: node ort.js FOLDER WORKLOAD, where FOLDER has node_modules
// with onnxruntime-node, and onnx/w2.onnx and its kind. Decoding is one step
// with a cache of 128 or 256 entries.
const [folder, workload] = process.argv.slice(2);
const { createRequire } = require('module');
const ort = createRequire(folder + '/')('onnxruntime-node');
const threads = +(process.env.OMP_NUM_THREADS || 1), seconds = +(process.env.SECONDS_ || 3);

const mask = (1n << 64n) - 1n;
function bits(seed, i) {
	let z = (BigInt(i + 1) + (BigInt(seed) << 32n)) * 0x9E3779B97F4A7C15n & mask;
	z = (z ^ z >> 30n) * 0xBF58476D1CE4E5B9n & mask;
	z = (z ^ z >> 27n) * 0x94D049BB133111EBn & mask;
	return Number((z ^ z >> 31n) >> 40n);
}
const count = d => d.reduce((a, b) => a * b);
const floats = (seed, ...d) => new ort.Tensor('float32', Float32Array.from({ length: count(d) }, (_, i) => bits(seed, i) / 8388608 - 1), d);
const ints = (seed, high, ...d) => new ort.Tensor('int64', BigInt64Array.from({ length: count(d) }, (_, i) => BigInt(bits(seed, i) % high)), d);
const step = (V, L, H, P) => ({
	tok: ints(500, V, 1, 1), pos: new ort.Tensor('int64', BigInt64Array.of(BigInt(P)), [1]),
	pk: floats(501, L, 1, H, P, 64), pv: floats(502, L, 1, H, P, 64),
});
const models = {
	'W2.infer': ['w2', () => ({ x: floats(500, 1, 784) })],
	'W3.infer': ['w3', () => ({ x: floats(500, 1, 1, 28, 28) })],
	'W4.infer': ['w4', () => ({ x: floats(500, 1, 3, 32, 32) })],
	'W5.infer': ['w5', () => ({ x: ints(500, 1000, 20, 35) })],
	'W6.fwd.B8': ['w6', () => ({ x: ints(500, 65, 8, 256) })],
	'W6.decode': ['w6decode', () => step(65, 6, 6, 128)],
	'W7.decode': ['w7decode', () => step(50257, 12, 12, 256)],
	'W8.infer': ['w8', () => ({ ids: ints(500, 30522, 1, 128) })],
	'W9.infer': ['w9', () => ({ ids: ints(500, 256, 1, 8000) })],
};

(async () => {
	const [name, make] = models[workload], feeds = make();
	const session = await ort.InferenceSession.create(`${folder}/onnx/${name}.onnx`, { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
	const ms = [];
	for (let warm = performance.now() + seconds * 250; performance.now() < warm;) await session.run(feeds);
	const used = process.cpuUsage();
	for (let end = performance.now() + seconds * 1e3; ms.length < 5 || performance.now() < end && ms.length < 20000;) {
		const t = performance.now();
		await session.run(feeds);
		ms.push(performance.now() - t);
	}
	const { user, system } = process.cpuUsage(used), cpu = (user + system) / 1e3 / ms.length;
	ms.sort((a, b) => a - b);
	console.log(JSON.stringify({ peer: 'ONNX Runtime', workload, threads, median_ms: ms[ms.length >> 1], min_ms: ms[0], cpu_ms: cpu, rss_mb: +/VmHWM:\s*(\d+)/.exec(require('fs').readFileSync('/proc/self/status', 'utf8'))[1] / 1024, n: ms.length }));
})();
