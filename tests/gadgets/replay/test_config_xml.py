from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from gadgets.replay.config_xml import (
    config_folders,
    find_config,
    find_installed,
    installed_configs,
    override,
    override_text,
    parse_config,
)
from python_recon.errors import ConfigError

EXECUTE = '<external><execute type="python" name="my.module" target="run"/>{}</external>'
CONFIGURATION = '<configuration><property name="method" value="grasp"/><other/></configuration>'


def _config(stream: str) -> str:
    return f"<configuration><version>2</version><stream>{stream}</stream></configuration>"


class TestParse:
    def test_nodes_in_order(self):
        connect = '<external><connect port="18000"/></external>'
        remote = '<external><connect port="18001" address="gpu"/></external>'
        config = parse_config(_config(EXECUTE.format(CONFIGURATION) + connect + remote), "x.xml")
        assert config.name == "x.xml"
        first, second, third = config.nodes
        assert (first.module, first.target, first.port, first.name) == (
            "my.module",
            "run",
            None,
            "my.module.run",
        )
        assert (second.address, second.port, second.name) == ("localhost", 18000, "localhost:18000")
        assert (third.address, third.port) == ("gpu", 18001)

    def test_the_configuration_element_is_kept_as_it_is(self):
        (node,) = parse_config(_config(EXECUTE.format(CONFIGURATION)), "x.xml").nodes
        element = fromstring(node.configuration)
        assert element.tag == "configuration"
        assert [child.tag for child in element] == ["property", "other"]

    def test_a_node_without_configuration(self):
        (node,) = parse_config(_config(EXECUTE.format("")), "x.xml").nodes
        assert node.configuration == ""

    def test_cpp_gadgets_are_listed_with_the_cure(self):
        gadget = "<gadget><name>Noise</name><dll>gadgetron_mricore</dll><classname>{}</classname></gadget>"
        stream = gadget.format("NoiseAdjustGadget") + EXECUTE.format("") + gadget.format("ImageFinishGadget")
        with pytest.raises(ConfigError, match=r"NoiseAdjustGadget, ImageFinishGadget.*-a ADDRESS -p PORT"):
            parse_config(_config(stream), "mixed.xml")

    def test_distributed_and_parallel_nodes_need_a_server(self):
        inner = "<parallel><stream><gadget><classname>A</classname></gadget></stream></parallel>"
        with pytest.raises(ConfigError, match="server for A, parallel"):
            parse_config(_config(inner), "x.xml")

    def test_old_configurations_are_read_far_enough_to_be_refused(self):
        old = (
            "<gadgetronStreamConfiguration><gadget><name>Acc</name>"
            "<classname>AccumulatorGadget</classname></gadget></gadgetronStreamConfiguration>"
        )
        with pytest.raises(ConfigError, match="AccumulatorGadget"):
            parse_config(old, "default.xml")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "not well-formed"),
            ("<configuration>", "not well-formed"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><configuration>&b;</configuration>', "not well-formed"),
            ("<html/>", "its root is <html>"),
            (_config(""), "nothing to run"),
            ("<configuration/>", "nothing to run"),
            (_config("<external/>"), "neither <execute> nor <connect>"),
            (_config('<external><execute type="matlab" name="a" target="b"/></external>'), "'matlab'"),
            (_config('<external><execute type="python" name="a"/></external>'), "needs name"),
            (_config('<external><connect port="0"/></external>'), "port '0'"),
            (_config('<external><connect port="http"/></external>'), "port 'http'"),
            (_config("<external><connect/></external>"), "port ''"),
        ],
    )
    def test_what_cannot_run_is_refused(self, text, message):
        with pytest.raises(ConfigError, match=message):
            parse_config(text, "x.xml")

    def test_missing_readers_are_a_warning(self, caplog):
        parse_config(_config(EXECUTE.format("")), "x.xml")
        assert "AcquisitionReader, WaveformReader, ImageWriter" in caplog.text


class TestOverride:
    def test_values_are_replaced_and_added(self):
        (node,) = parse_config(_config(EXECUTE.format(CONFIGURATION)), "x.xml").nodes
        element = fromstring(override(node, {"method": "cg_sense", "device": "cpu"}).configuration)
        pairs = {item.get("name"): item.get("value") for item in element.iter("property")}
        assert pairs == {"method": "cg_sense", "device": "cpu"}
        assert element.find("other") is not None

    def test_properties_with_child_elements_are_replaced_too(self):
        inner = "<configuration><property><name>method</name><value>grasp</value></property></configuration>"
        (node,) = parse_config(_config(EXECUTE.format(inner)), "x.xml").nodes
        element = fromstring(override(node, {"method": "gridding"}).configuration)
        assert [item.get("value") for item in element.iter("property")] == ["gridding"]

    def test_a_node_without_configuration_gets_one(self):
        (node,) = parse_config(_config(EXECUTE.format("")), "x.xml").nodes
        element = fromstring(override(node, {"a": "<&>"}).configuration)
        assert element.find("property").get("value") == "<&>"

    def test_all_external_nodes_of_a_text(self):
        gadget = "<gadget><classname>Noise</classname></gadget>"
        text = override_text(
            _config(gadget + EXECUTE.format("") + EXECUTE.format(CONFIGURATION)),
            "x.xml",
            {"method": "subspace"},
        )
        values = [item.get("value") for item in fromstring(text).iter("property")]
        assert values == ["subspace", "subspace"]
        assert "Noise" in text

    def test_a_text_without_external_nodes_is_refused(self):
        with pytest.raises(ConfigError, match="no <external> node"):
            override_text(_config("<gadget><classname>A</classname></gadget>"), "x.xml", {"a": "1"})


class TestFind:
    @pytest.fixture(autouse=True)
    def _home(self, tmp_path, monkeypatch):
        folder = tmp_path / "home" / "share" / "gadgetron" / "config"
        folder.mkdir(parents=True)
        (folder / "site_radial.xml").write_text(_config(EXECUTE.format("")))
        (tmp_path / "home" / "secret.xml").write_text("<secret/>")
        monkeypatch.setenv("GADGETRON_HOME", str(tmp_path / "home"))
        self.folder = folder

    def test_names_with_and_without_ending(self):
        assert find_config("site_radial.xml") == self.folder / "site_radial.xml"
        assert find_config("site_radial") == self.folder / "site_radial.xml"

    @pytest.mark.parametrize("name", ["pisco", "pisco.xml", "radial_pisco", "radial_pisco.xml"])
    def test_ours_have_short_names(self, name):
        assert find_installed(name).name == "radial_pisco.xml"

    def test_the_source_tree_comes_first(self):
        assert config_folders()[0].name == "configs_xml"
        assert config_folders()[-1] == self.folder

    def test_a_path_wins(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "site_radial.xml").write_text("mine")
        assert find_config("site_radial.xml").read_text() == "mine"

    @pytest.mark.parametrize("name", ["../../../secret.xml", "../../../secret", "/etc/passwd", "..", "", "."])
    def test_names_cannot_leave_the_folders(self, name, tmp_path):
        assert (self.folder / "../../../secret.xml").resolve().is_file()
        with pytest.raises(ConfigError, match="no configuration"):
            find_installed(name)

    def test_the_nearest_name_is_told(self):
        with pytest.raises(ConfigError, match=r"did you mean 'site_radial.xml'"):
            find_config("site_radail.xml")

    def test_installed_names(self):
        assert installed_configs()["site_radial.xml"] == self.folder / "site_radial.xml"
