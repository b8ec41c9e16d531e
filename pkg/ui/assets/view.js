// A filtered list, and a panel for one item.

import {button, command, empty, fill, Grid, h, number, once, span, text} from './dom.js';
import {since} from './stream.js';
import {store} from './store.js';

export class View {
	most = 200;
	choice = '';
	query = '';

	begin(page) {
		this.page = page;
		if (this.element) return;
		this.note = h('p.note', {role: 'status'});
		this.nothing = h('div');
		this.side = h('div.side');
		this.grid = new Grid(this.title, this.columns, item => this.id(item));
		this.buttons = Object.entries(this.choices ?? {}).map(([name, label]) =>
			button(label, () => { this.choice = this.choice === name ? '' : name; this.refresh(); }, {'data-name': name}));
		this.more = button('', () => { this.most += 200; this.refresh(); }, {class: 'more'});
		this.tools = h('div.tools', this.buttons.length ? h('div.choice', {role: 'group', 'aria-label': 'Show'}, this.buttons) : null,
			h('input', {type: 'search', placeholder: this.hint, 'aria-label': this.hint, oninput: event => { this.query = event.target.value.trim().toLowerCase(); this.refresh(); }}));
		this.split = h('div.split', h('div.list', this.tools, this.above?.(), this.grid.element, this.more, this.nothing), this.side);
		this.element = h('div', h('div.title', h('h1', {tabindex: -1}, this.title), this.note), this.head?.(), this.split);
	}

	end() { this.panel?.end?.(); }

	refresh() { this.version = -1; this.update(); }

	update() {
		const watch = store[this.kind];
		if (!watch.synced && this.version) return; // the old objects are shown until the new ones are complete
		if (this.version !== watch.version) {
			this.version = watch.version;
			this.all = this.items(watch);
			this.fit = this.all.filter(item => this.fits(item) && (!this.query || this.words(item).toLowerCase().includes(this.query)));
			this.selected?.();
		}
		this.tools.hidden = !this.all.length;
		for (const b of this.buttons) b.setAttribute('aria-pressed', b.dataset.name === this.choice);
		this.grid.set(this.fit.slice(0, this.most), item => this.id(item) === this.opened ? 'chosen' : this.style?.(item) ?? '');
		this.more.hidden = this.fit.length <= this.most;
		text(this.more, `Show more of ${number(this.fit.length)}`);
		text(this.note, this.summary());
		once(this.nothing, [!this.fit.length, !this.all.length, watch.synced, this.choice].join(), () => fill(this.nothing, !this.fit.length
			&& empty(...!watch.synced ? ['Waiting for the server'] : this.all.length ? ['Nothing fits.'] : this.nothingOf())));
		this.panel?.update?.();
	}

	open(id) {
		if (id === (this.opened ?? '')) return;
		const before = this.opened;
		this.panel?.end?.();
		this.opened = id;
		this.split.classList.toggle('open', Boolean(id));
		this.panel = id && this.detail ? this.detail(id) : null;
		fill(this.side, this.panel?.element);
		this.update();
		(this.panel?.heading ?? this.element.querySelector(`td a[href="${CSS.escape(this.link(before))}"]`) ?? this.element.querySelector('h1')).focus();
	}

	link(id) { return `#${this.page.name}/${id}`; }

	frame(title) {
		const close = () => this.page.go(this.page.name);
		const heading = h('h2', {tabindex: -1}, title);
		const body = h('div.body');
		const element = h('section.panel', {'aria-label': title, onkeydown: event => { if (event.key === 'Escape') close(); }},
			h('header', heading, button('Close', close)), body);
		return {element, heading, body};
	}

	follow(id, build, ...rest) {
		const frame = this.frame(id);
		const about = h('div');
		fill(frame.body, about, rest);
		return Object.assign(frame, {update: () => {
			const {items, synced} = store[this.kind];
			const object = items.get(id);
			once(about, `${object?.metadata.resourceVersion} ${synced} ${Math.floor(Date.now() / 5000)}`,
				() => fill(about, object ? build(object) : synced ? 'It does not exist.' : ''));
		}});
	}

	items(watch) { return watch.values(); }
	id(item) { return item.metadata.name; }
	fits() { return true; }
	nothingOf() { return this.nothingHere; }
}

export function conditions(object) {
	const list = object.status?.conditions ?? [];
	return list.length ? new Grid('Conditions', [['Type', c => c.type], ['Status', c => c.status], ['Reason', c => c.reason],
		['Since', c => span(since(c.lastTransitionTime)), 'n'], ['Message', c => c.message, 'wrap']], c => c.type).set(list) : h('p.note', 'None');
}

export const terminal = (...lines) => [h('h3', 'In a terminal'), lines.map(command)];
