from research.findings import Finding


def test_a_finding_names_its_source():
    assert Finding(text="I sort by date", source="/r/x/1").cite() == "I sort by date [/r/x/1]"
