"""Two clicks at the same moment."""

import pytest
from uuid_utils.compat import uuid7

from accounts.bearers import Origin
from pools.models import Key, KeyEvent, KeyImport, KeyUpload
from pools.services import pop_keys_once
from pools.services.uploads import check_upload, import_upload, keep_upload
from tests.cast import add_keys, numbered
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_form_pops_once(pooled_policy):
    add_keys(pooled_policy, *numbered(10))
    origin = Origin(operator="ann@acme.test", request_id=str(uuid7()))

    results = race(6, lambda: [key.key for key in pop_keys_once(policy=pooled_policy, count=2, origin=origin)])

    assert results == [["KEY-0001", "KEY-0002"]] * 6
    assert KeyEvent.objects.count() == 2


def test_an_upload_is_imported_once(pooled_policy):
    upload = keep_upload(policy=pooled_policy, operator="ann@acme.test", blocks=["\n".join(numbered(100)).encode()])
    check_upload(upload)

    race(6, lambda: import_upload(KeyUpload.objects.get(), skip_invalid=False))

    assert Key.objects.count() == 100
    assert KeyImport.objects.get().added == 100
    assert KeyUpload.objects.get().state == "done"
