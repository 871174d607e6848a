package provisioning

import "github.com/muster-mqtt/muster"

func (p *parser) resource(v *value) {
	m := p.members(v, []string{"Type", "Properties"}, "OverrideSettings")
	kind, properties, settings := p.oneOf(m["Type"], "type of resource", typeCertificate, typePolicy, typeThing), m["Properties"], m["OverrideSettings"]
	switch kind {
	case typeCertificate:
		if p.template.status != nil {
			p.keep(v.at.fault("keep one", "is a second %s", kind))
		}
		p.certificate(v, properties)
		p.template.override = p.certificateOverride(settings)
	case typePolicy:
		if len(p.template.policies) == maxPolicies {
			p.keep(v.at.fault("name at most as many", "is one %s too many; a certificate has at most %d", kind, maxPolicies))
		}
		p.policy(v.name(), properties)
		if settings != nil {
			p.keep(settings.at.fault("remove them", "a policy has no OverrideSettings"))
			p.walk(settings)
		}
	case typeThing:
		if p.template.thing != nil {
			p.keep(v.at.fault("keep one", "is a second %s", kind))
		}
		p.template.thing = p.thing(properties)
		p.template.thing.logical = v.name()
		p.template.thing.override = p.thingOverride(settings, properties)
	default:
		p.walk(properties)
		p.walk(settings)
	}
}

func (p *parser) certificate(resource, properties *value) {
	var status *value
	if p.template.sourced {
		status = p.source(properties)
	} else {
		m := p.members(properties, []string{"CertificateId"}, "Status")
		id := p.text(m["CertificateId"])
		if id != nil && id.op != broken && (id.op != ref || id.text != certificateID) {
			p.keep(id.at.fault(`write {"Ref": "`+certificateID+`"}`, "names another certificate than the one that connects"))
		}
		status = m["Status"]
	}
	p.template.certificate = resource.name()
	p.template.status = p.property(status, statusRule)
	if p.template.status == nil {
		p.template.status = &node{op: literal, at: resource.at, text: string(muster.Active)}
		if properties != nil {
			p.advise(properties.at, `write "Status": "ACTIVE" if that is meant`, "has no Status, so that the device is let in at once")
		}
	}
}

// source reads which certificate is meant, and returns the status.
func (p *parser) source(properties *value) (status *value) {
	const id, csr, pem, ca = "CertificateId", "CertificateSigningRequest", "CertificatePem", "CACertificatePem"
	m := p.members(properties, nil, id, csr, pem, ca, "Status")
	p.template.source = source{
		id:  p.property(m[id], idRule),
		csr: p.property(m[csr], csrRule),
		pem: p.property(m[pem], pemRule),
		ca:  p.property(m[ca], pemRule),
	}
	given := 0
	for _, name := range []string{id, csr, pem} {
		if m[name] != nil {
			given++
		}
	}
	switch {
	case properties != nil && given != 1:
		p.keep(properties.at.fault("write exactly one of "+id+", "+csr+" and "+pem, "names no certificate, or several"))
	case m[ca] != nil && m[pem] == nil:
		p.keep(m[ca].at.fault("remove it", "%s goes with %s alone", ca, pem))
	}
	return m["Status"]
}

func (p *parser) certificateOverride(settings *value) *node {
	return p.property(p.members(settings, nil, "Status")["Status"], replaceRule)
}

func (p *parser) thing(properties *value) *thing {
	m := p.members(properties, []string{"ThingName"}, "ThingTypeName", "ThingGroups", "BillingGroup", "AttributePayload")
	t := &thing{
		name:    p.property(m["ThingName"], nameRule),
		kind:    p.property(m["ThingTypeName"], nameRule),
		billing: p.property(m["BillingGroup"], nameRule),
		groups:  p.list(m["ThingGroups"]),
	}
	if t.groups != nil && t.groups.op == list {
		for _, group := range t.groups.args {
			p.check(group, nameRule)
		}
	}
	for _, item := range p.object(m["AttributePayload"]) {
		p.keep(attributeRule.check(item.at, item.name()))
		t.attributes = append(t.attributes, attribute{item.name(), p.property(item, valueRule)})
	}
	most := maxAttributes
	if t.kind != nil {
		most = maxTypedAttributes
	}
	if len(t.attributes) > most {
		p.keep(m["AttributePayload"].at.fault("remove some, or name a ThingTypeName",
			"has %d attributes; a thing has at most %d without a ThingTypeName and %d with one", len(t.attributes), maxAttributes, maxTypedAttributes))
	}
	return t
}

// thingOverride reads settings in both spellings of AWS's documentation. None
// at all are the same as no OverrideSettings.
func (p *parser) thingOverride(settings, properties *value) *override {
	m := p.members(settings, nil, "AttributePayload", "ThingTypeName", "ThingGroups",
		"ATTRIBUTE_PAYLOAD", "THING_TYPE_NAME", "THING_GROUPS")
	if len(m) == 0 {
		return nil
	}
	setting := func(property, capitals string, r rule) *node {
		v := m[property]
		if other := m[capitals]; other != nil {
			if v != nil {
				p.keep(other.at.fault("keep one", "%s and %s are the same", property, capitals))
			}
			v = other
		}
		n := p.property(v, r)
		if n != nil && n.op == literal && n.text == string(muster.OverrideReplace) && properties != nil && member(properties, property) == nil {
			p.advise(n.at, "name a "+property+", or write DO_NOTHING", "REPLACE by nothing: Properties has no %s, so that a thing that exists loses what it has", property)
		}
		return n
	}
	return &override{
		attributes: setting("AttributePayload", "ATTRIBUTE_PAYLOAD", mergeRule),
		kind:       setting("ThingTypeName", "THING_TYPE_NAME", replaceRule),
		groups:     setting("ThingGroups", "THING_GROUPS", mergeRule),
	}
}

// member returns the member of this name, or nil.
func member(v *value, name string) *value {
	for _, item := range v.items {
		if v.kind == isObject && item.name() == name {
			return item
		}
	}
	return nil
}

func (p *parser) policy(logical string, properties *value) {
	m := p.members(properties, nil, "PolicyName", "PolicyDocument")
	if properties != nil && len(m) != 1 {
		p.keep(properties.at.fault("write exactly one of PolicyName (of a policy that exists) and PolicyDocument", "names no policy, or two"))
	}
	g := grant{logical: logical, name: p.property(m["PolicyName"], policyRule), document: p.document(m["PolicyDocument"])}
	if d := g.document; d != nil && d.op == literal {
		p.keep(checkDocument(d.at, d.text))
	}
	p.template.policies = append(p.template.policies, g)
}

// property reads an expression and checks it against its rule if it is constant.
func (p *parser) property(v *value, r rule) *node {
	n := p.text(v)
	p.check(n, r)
	return n
}

func (p *parser) check(n *node, r rule) {
	if n != nil && n.op == literal {
		p.keep(r.check(n.at, n.text))
	}
}
